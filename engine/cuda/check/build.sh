#!/usr/bin/env bash
# Gathers in one folder all that checks the GPU support on a machine with a GPU and Python
# with PyTorch, but without Go, a checkout or a network:
#
#   engine/cuda/check/build.sh gpu-check
#   gpu-check/check.sh 600 results        # there
#
# Fashion-MNIST is copied from RESIDUAL_DATA or the user's cache, where it is.
set -euo pipefail
most=$((60 << 20)) # bytes of the folder
out=$(realpath -m "${1:?usage: build.sh FOLDER}")
cd "$(dirname "${BASH_SOURCE[0]}")/../../.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0

flags=(-trimpath -ldflags '-s -w')
mkdir -p "$work"/{engine/cuda,train,inference,bench,models/testdata}
for package in engine/cuda train inference; do
    go test -c -tags cuda "${flags[@]}" -o "$work/$package/gpu.test" "./$package"
done
go build -tags cuda "${flags[@]}" -o "$work/residual" ./cmd/residual
go build "${flags[@]}" -o "$work/bench/bench" ./bench
cp bench/*.py "$work/bench/"
cp models/testdata/d2l-*.json "$work/models/testdata/" # what PyTorch's ten steps were
git describe --always --dirty --exclude='*' >"$work/REVISION" 2>/dev/null || echo unknown >"$work/REVISION"

rm -rf "$out"
mkdir -p "$out"
tar -C "$work" -c . | xz -6 >"$out/programs.tar.xz"
cp engine/cuda/check/check.sh "$out/"
found=
for data in "${RESIDUAL_DATA:-}" "${XDG_CACHE_HOME:-$HOME/.cache}/residual"; do
    if [[ -z $found && -n $data && -f $data/fashion-mnist/train-images-idx3-ubyte.gz ]]; then
        mkdir -p "$out/data/fashion-mnist"
        cp "$data"/fashion-mnist/*.gz "$out/data/fashion-mnist/"
        chmod u+w "$out"/data/fashion-mnist/*
        found=$data
    fi
done
[[ -n $found ]] || echo 'build.sh: Fashion-MNIST is not here, so the recipe will not be checked: residual data fetch fashion-mnist' >&2
bytes=$(du -sb "$out" | cut -f1)
echo "$out: $((bytes >> 20)) MiB"
if ((bytes > most)); then
    echo "build.sh: that is more than $((most >> 20)) MiB" >&2
    exit 1
fi
