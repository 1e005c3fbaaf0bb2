#!/usr/bin/env bash
# Usage: scripts/gpu-check.sh [--programs DIR] [--out DIR] [--seconds N] [--total N] [--peers DIR]
#                             [--group NAME] [PART...]
#
# Checks and times on a GPU what scripts/gpu-build.sh packed into DIR (build/gpu). It wants bash,
# tar, xz or python3, the driver and the programs; PyTorch, compute-sanitizer and ncu are used where
# they are.
#
#   ops        every op against the CPU in float64, against finite differences, some through files
#              against the CPU, and with every version of every kernel: ops.txt, with the table of
#              coverage
#   tests      test-cuda, case by case: gradients and curves against the CPU, graphs, stress: tests.txt
#   step       whole training steps, plain and Difficulty-Net, in float32, tf32 and bf16, each beside
#              the same step of --peers DIR (torch_resnet32_bench.py): steps.txt
#   profile    the kernels of these steps by ncu: time and bytes of device memory: steps.txt
#   tune       --autotune on the steps of the part step: steps.txt, and tuning.json, the table that
#              kernels/cuda/tuning can hold for such a GPU
#   train      CIFAR-100-LT with a Difficulty-Net on the data that --data packed, 12,800 steps in
#              tf32, then in bf16: train.txt
#   bench      every kernel in all its versions, beside cuBLAS and cuDNN where the machine has them:
#              bench.txt, rates.json
#   sanitizer  ops under memcheck, racecheck, synccheck and initcheck: tests.txt
#   peers      group NAME (micro) of run_all.sh in --peers DIR, or where there is none its Python
#              scripts one after another: steps.txt
#
# All unless parts are named, in the order in which they are. Files go to --out (or the folder OUT of
# the environment, or out/gpu), eight at most, with summary.txt: the machine, what passed, failed,
# was not run. A part takes at most --seconds (570) and all together at most --total (no limit); what
# is not done by then counts as not run. The exit status is 1 where something failed, 3 where nothing
# could run, else 0.

# shellcheck disable=SC1090,SC1091,SC2034,SC2154  # what lib.sh and report.sh set, and the parts use
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

known=(ops tests step profile tune train bench sanitizer peers)
programs=build/gpu
out="${OUT:-out/gpu}"
seconds=570
total=0
peers=""
group=micro
parts=()
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --programs) programs="${2:?gpu-check.sh: --programs needs a folder}"; shift ;;
    --out) out="${2:?gpu-check.sh: --out needs a folder}"; shift ;;
    --seconds) seconds="${2:?gpu-check.sh: --seconds needs a number}"; shift ;;
    --total) total="${2:?gpu-check.sh: --total needs a number}"; shift ;;
    --peers) peers="${2:?gpu-check.sh: --peers needs a folder}"; shift ;;
    --group) group="${2:?gpu-check.sh: --group needs a name}"; shift ;;
    *)
      [[ " ${known[*]} " == *" $1 "* ]] || die "gpu-check.sh: unknown argument '$1'"
      parts+=("$1")
      ;;
  esac
  shift
done
((${#parts[@]})) || parts=("${known[@]}")
[[ "$seconds" =~ ^[1-9][0-9]*$ ]] ||
  die "gpu-check.sh: --seconds $seconds: expected a number above 0"
[[ "$total" =~ ^[0-9]+$ ]] || die "gpu-check.sh: --total $total: expected a number"
mkdir -p "$out"
out="$(cd "$out" && pwd)"
[[ -z "$peers" ]] || peers="$(cd "$peers" && pwd)" || die "gpu-check.sh: no folder $peers"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

# unpack FILE: into $work.
unpack() {
  if command -v xz > /dev/null; then
    xz -dc "$1" | tar -C "$work" -xf -
  elif command -v python3 > /dev/null; then
    python3 -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$1" "$work"
  else
    die "gpu-check.sh: neither xz nor python3 is here to unpack $1"
  fi
}
data="$programs/data.tar.xz"  # perhaps not there
if [[ -f "$programs/programs.tar.xz" ]]; then
  unpack "$programs/programs.tar.xz"
  programs="$work/programs"
fi
for program in ek-op ek-check ek-bench ek-train ek-eval ek-bench-step test-cuda; do
  [[ -x "$programs/$program" ]] ||
    die "gpu-check.sh: $programs/$program is not there; scripts/gpu-build.sh builds it"
done
programs="$(cd "$programs" && pwd)"

source "$root/scripts/gpu-check/report.sh"
for part in "${known[@]}"; do
  source "$root/scripts/gpu-check/$part.sh"
done
describe_machine

# Without a GPU the programs say why in one line.
no_gpu=""
if ! timeout 120 "$programs/ek-check" test --device cuda --dtype float32 --filter '^relu$' \
  > "$work/last" 2>&1 && grep -q '^error: --device cuda' "$work/last"; then
  no_gpu="$(sed -n 's/^error: --device cuda: //p' "$work/last")"
fi
for part in "${parts[@]}"; do
  part_end=$((SECONDS + seconds))
  ((total == 0 || part_end <= total)) || part_end=$total
  if [[ -n "$no_gpu" ]]; then
    not_run "$part: $no_gpu"
  else
    "part_$part"
  fi
done
sed -n '2,4p' "$out/summary.txt"
((${#failed[@]} == 0)) || exit 1
((${#passed[@]} > 0)) || exit 3
