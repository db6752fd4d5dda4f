#!/usr/bin/env bash
# Checks the GPU support on a GPU, in the folder that build.sh has made:
#
#   check.sh SECONDS RESULTS [PART...]
#
# runs the parts, all of them where none is named, each within a limit of its own and all
# within SECONDS; a part that fails stops no other. RESULTS gets table.txt, the profiles of
# the steps, the comparison with PyTorch, and all output in logs.tar.gz. The status is 0
# where every part has passed. Of the environment,
#
#   RESIDUAL_CUDA  is the number of the GPU (0)
#   PYTHON         is the interpreter that has PyTorch (python3)
#   PEAKS          are TFLOP/s and GB/s for the floor; else an H100's or H200's data sheet
#   CHECK_TINY=1   makes all sizes tiny, to rehearse the script on an emulated GPU
set -uo pipefail
all=(doctor conformance training evaluation bits profile-train profile-infer cudnn pytorch-train pytorch-infer recipe memcheck racecheck recipe-torch)
usage="usage: check.sh SECONDS RESULTS [PART...]; parts: ${all[*]}"
limit=${1:?$usage}
out=$(mkdir -p "${2:?$usage}" && realpath "$2")
shift 2
(($#)) || set -- "${all[@]}"

home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
gpu=${RESIDUAL_CUDA:-0} python=${PYTHON:-python3} data=$home/data work=${CHECK_WORK:-}
if [[ -z $work ]]; then # else this is one part, begun below
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/logs"
    tar -C "$work" -xJf "$home/programs.tar.xz" 2>/dev/null || "$python" -m tarfile -e "$home/programs.tar.xz" "$work" || exit 2
fi
logs=$work/logs
device=cuda:$gpu
cores=$(nproc)
card=$(nvidia-smi -i "$gpu" --query-gpu=name --format=csv,noheader 2>/dev/null)
case ${PEAKS:-}$card in
*,*) peaks=$PEAKS ;;
*H200*) peaks=989,4800 ;; # NVIDIA's data sheet: dense bf16, HBM3e
*H100*) peaks=989,3350 ;; # of the SXM5 card, HBM3
*) peaks= ;;
esac
model=(--model d2l-resnet18 --batch 256)
small=(--train-size 5120 --test-size 1024)
recipe=(--epochs 10) recipe_torch=(--epochs 10)
cases='^(TestConformance|TestShapes|TestUpdates|TestTrain)' training=CUDA
checked=('^TestConformance$/^Blocks$' '^TestConformance$/^(Dense|BatchNorm|Pools|LossAndDropout|ChannelsAndStochasticDepth)$' '^TestConformance$/^Convolutions$/^(0|2|4|7|16|36)$' '^TestTrainIsOneGraph$/^(sgd|clipped)$')
net=(--model d2l-resnet18 --batch 4)
if [[ -n ${CHECK_TINY:-} ]]; then
    model=(--model d2l-bnlenet --batch 4 --repeat 1 --warmup 1) net=(--model d2l-bnlenet --batch 2)
    small=(--model d2l-bnlenet --batch 32 --train-size 64 --test-size 32) recipe=("${small[@]}" --epochs 2)
    recipe_torch=(--epochs 1 --train-size 32 --test-size 16 --batch 16)
    cases='^TestConformance$/^Dense$' training='^TestStepThatDiverges' checked=('^TestConformance$/^Dense$/^0$')
    peaks=${peaks:-1,1}
fi
floor=(${peaks:+--peaks "$peaks"})

# say leaves the line of a part in the table.
say() { printf '%s' "$*" >"$logs/$part.said"; }

# tests runs the tests of a package on the GPU.
tests() {
    cd "$work/$1" && RESIDUAL_CUDA=$gpu ./gpu.test -test.v -test.timeout 20m -test.run "$2" | tee "$logs/$part.tests"
    local status=${PIPESTATUS[0]} run
    run=$(grep -cE '^ *--- PASS' "$logs/$part.tests")
    say "$run passed, $(grep -cE '^ *--- FAIL' "$logs/$part.tests") failed, $(grep -cE '^ *--- SKIP' "$logs/$part.tests") skipped, subtests counted"
    ((status == 0 && run > 0))
}

doctor() {
    nvidia-smi
    "$work/residual" doctor --data-dir "$data" || return
    local began=$SECONDS first
    "$work/residual" bench --device "$device" --model d2l-bnlenet --batch 4 --repeat 1 --warmup 0 --peaks 1,1 || return
    first=$((SECONDS - began)) began=$SECONDS
    "$work/residual" bench --device "$device" --model d2l-bnlenet --batch 4 --repeat 1 --warmup 0 --peaks 1,1 || return
    say "${card:-no nvidia-smi}; first start $first s, kernels compiled; again $((SECONDS - began)) s"
}

conformance() { tests engine/cuda "$cases"; }
training() { tests train "$training"; }
evaluation() { tests inference CUDA; }

# train trains on Fashion-MNIST, into folder $1.
train() {
    local to=$1
    shift
    "$work/residual" train --plain --offline --device "$device" --data-dir "$data" --out "$to" "$@"
}

bits() {
    local one two
    train "$work/bits" --epochs 1 --seed 7 "${small[@]}" && train "$work/bits" --epochs 1 --seed 7 "${small[@]}" || return
    one=$(sha256sum <"$work/bits/train-1/last.safetensors") two=$(sha256sum <"$work/bits/train-2/last.safetensors")
    say "the same seed twice: ${one:0:12} and ${two:0:12}"
    [[ $one == "$two" ]]
}

# profile shows the steps of mode $1: by the data sheet in profile-$1.txt, and by what the
# kernels reach.
profile() {
    local file=$out/profile-$1.txt
    "$work/residual" bench --device "$device" --mode "$1" --feed none "${model[@]}" "${floor[@]}" --profile=steps >"$file" || return
    cat "$file"
    say "$(sed -nE 's/^images\/s +([^ ]+) .*/\1 images\/s/p; s/^(time of a step|floor of a step|share of the floor) +([^ ]+ [^ ]+).*/, \1 \2/p' "$file" | tr -d '\n')"
    [[ -n ${CHECK_TINY:-} ]] || "$work/residual" bench --device "$device" --mode "$1" --feed none "${model[@]}" --profile
}
profile-train() { profile train; }
profile-infer() { profile infer; }

# cudnn times cuDNN's convolutions, as PyTorch calls them, beside those of profile-train.txt.
cudnn() {
    "$python" "$work/bench/torch_convs.py" --device cuda --batch 256 >"$out/cudnn.txt" || return
    cat "$out/cudnn.txt"
    say "ms forward, of inputs' and of weights' gradients: $(tail -1 "$out/cudnn.txt" | awk '{print $3, $4, $5}')"
}

# compared adds a row to the comparison with PyTorch. What compiles for minutes is left out.
compared() {
    cd "$work/bench" && ./bench -all -device cuda -residual "$work/residual" -revision "$(cat "$work/REVISION")" -peers "$python" -data-dir "$data" \
        -rows "$1" -rounds 3 -repeat 5 -torch eager,captured,weights-captured,reduce-overhead -out "$out/benchmarks.md"
    local status=$?
    say "$(grep -F "| $2" "$out/benchmarks.md" | cut -d'|' -f3-7,9 | tr -s ' ' | head -1)"
    return $status
}
pytorch-train() { compared gpu-train-256 'training on a GPU'; }
pytorch-infer() { compared gpu-infer-256 'inference on a GPU'; }

# recorded adds a whole training to the comparison.
recorded() { (cd "$work/bench" && ./bench "$@" -note "$card" -out "$out/benchmarks.md"); }

recipe() {
    local began=$SECONDS took
    train "$work/recipe" "${recipe[@]}" || return
    took=$((SECONDS - began))
    cp "$work"/recipe/train-1/{metrics.csv,settings.yaml} "$logs/"
    say "$took s, start and saving included; $(tail -1 "$work/recipe/train-1/metrics.csv" | sed 's/^/last row: /')"
    recorded -run "$work/recipe/train-1"
}

recipe-torch() {
    local began=$SECONDS
    "$python" "$work/bench/torch_recipe.py" --data "$data" --device cuda --precision bf16 --threads "$cores" "${recipe_torch[@]}" >"$logs/recipe.jsonl" || return
    say "$((SECONDS - began)) s, start included"
    recorded -recipe "$logs/recipe.jsonl"
}

# sanitizer runs a program under tool $1; what the tool did not see is no success.
sanitizer() {
    local tool=$1
    shift
    compute-sanitizer --tool "$tool" --error-exitcode 97 "$@" | tee "$logs/$part.one"
    ((PIPESTATUS[0] == 0)) && grep -qE 'SUMMARY: 0 (errors|hazards)' "$logs/$part.one" && ! grep -q 'before first instrumented' "$logs/$part.one"
}

# sanitized runs a few of the conformance cases, and a net's step.
sanitized() {
    local failed=0 done=0 run of=$((${#checked[@]} + 1))
    cd "$work/engine/cuda" || return
    export RESIDUAL_CUDA=$gpu
    for run in "${checked[@]}"; do
        sanitizer "$1" ./gpu.test -test.v -test.timeout 20m -test.run "$run" || failed=$((failed + 1))
        ((done += 1))
        say "$done of $of runs done, $failed with errors"
    done
    sanitizer "$1" "$work/residual" bench --device "$device" "${net[@]}" --repeat 1 --warmup 1 --peaks 1,1 || failed=$((failed + 1))
    say "$of of $of runs done, $failed with errors"
    ((failed == 0))
}
memcheck() { sanitized memcheck; }
racecheck() { sanitized racecheck; }

if [[ -n ${CHECK_WORK:-} ]]; then
    part=$1
    "$part"
    exit
fi

# What a part may take, in seconds.
declare -A most=([doctor]=90 [conformance]=150 [training]=120 [evaluation]=30 [bits]=60 [profile-train]=60 [profile-infer]=60 [cudnn]=60 [pytorch-train]=210
    [pytorch-infer]=180 [recipe]=150 [memcheck]=150 [racecheck]=150 [recipe-torch]=180)
table=$out/table.txt
line() { printf '%-14s %-12s %5s  %s\n' "$@" >>"$table"; }
: >"$table"
line part result s ''
bad=0
for part in "$@"; do
    if [[ -z ${most[$part]:-} ]]; then
        echo "check.sh: there is no part $part; $usage" >&2
        bad=1
        continue
    fi
    began=$SECONDS left=$((limit - SECONDS - 5)) # for the end, and for a part that does not stop at once
    if ((left < 5)); then
        result='not begun'
    else
        CHECK_WORK=$work timeout -k 3 $((left < most[$part] ? left : most[$part])) bash "${BASH_SOURCE[0]}" "$limit" "$out" "$part" >"$logs/$part.log" 2>&1
        case $? in
        0) result=passed ;;
        124 | 137) result='out of time' ;;
        *) result=failed ;;
        esac
    fi
    [[ $result == passed ]] || bad=1
    line "$part" "$result" $((SECONDS - began)) "$(cat "$logs/$part.said" 2>/dev/null)"
    tail -1 "$table"
    [[ $result == failed ]] && tail -15 "$logs/$part.log"
    tar -C "$work" -czf "$out/logs.tar.gz" logs # what there is, whatever comes
done
echo
cat "$table"
exit $bad
