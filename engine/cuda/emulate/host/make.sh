#!/usr/bin/env bash
# Compiles the kernels as C++ into a library that stands in for a GPU in tests:
#
#   engine/cuda/emulate/host/make.sh /tmp/emulated.so
#   RESIDUAL_CUDA_EMULATED=/tmp/emulated.so go test -tags cuda ./engine/cuda ./train
#
# It has the functions of libcuda.so.1, too: under that name, in LD_LIBRARY_PATH, a program
# built with -tags cuda runs on it. With CUDA_INCLUDE=FOLDER its declarations are held to the
# cuda.h in that folder.
#
# Needs g++ on Linux. Nothing of it is part of the program.
set -euo pipefail
out=$(realpath "${1:?usage: make.sh LIBRARY.so}")
cd "$(dirname "${BASH_SOURCE[0]}")"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for source in ../../kernels/*.cu; do
    printf '#include "%s"\n' "$(realpath "$source")"
done >"$folder/sources.inc"
sed -nE 's/^KERNEL\((\w+)\).*/ENTRY(\1)/p' ../../kernels/*.cu >"$folder/entries.inc"
for suffix in fma tf32 bf16; do
    sed -nE "s/^ +KERNEL\((\w+)##suffix\).*/ENTRY(\1$suffix)/p" ../../kernels/*.cu
done >>"$folder/entries.inc"
# bounds: an index beyond an array, shared memory among them, ends the process.
g++ -std=c++17 -O2 -march=native -ffp-contract=off -fPIC -shared -DEMULATED \
    -fsanitize=bounds -fsanitize-undefined-trap-on-error -Wall -Wno-unknown-pragmas -Wno-unused-function \
    -I"$folder" -I. ${CUDA_INCLUDE:+-I"$CUDA_INCLUDE"} driver.cpp -o "$out"
