#!/usr/bin/env bash
# Usage: scripts/gpu-check.sh [--programs DIR] [--out DIR] [--seconds N] [--peers DIR] [--group NAME]
#                             [PART...]
#
# Checks and times on a GPU what scripts/gpu-build.sh packed into DIR (build/gpu). It wants bash,
# tar, xz or python3, the driver and the programs; PyTorch and compute-sanitizer are used where they
# are.
#
#   ops        every op against the CPU in float64, against finite differences, and some through
#              files against the CPU: ops.txt, with the table of coverage
#   tests      test-cuda, case by case: gradients and curves against the CPU, graphs, stress: tests.txt
#   step       whole training steps, plain and Difficulty-Net, in float32, tf32 and bf16, each beside
#              the same step of --peers DIR (torch_resnet32_bench.py): steps.txt
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
# All unless parts are named. Files go to --out (or the folder OUT of the environment, or out/gpu),
# eight at most, with summary.txt: the machine, what passed, failed, was not run. A part takes at
# most --seconds (570), and what is not done by then counts as not run. The exit status is 1 where
# something failed, 3 where nothing could run, else 0.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

programs=build/gpu
out="${OUT:-out/gpu}"
seconds=570
peers=""
group=micro
parts=()
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --programs) programs="${2:?gpu-check.sh: --programs needs a folder}"; shift ;;
    --out) out="${2:?gpu-check.sh: --out needs a folder}"; shift ;;
    --seconds) seconds="${2:?gpu-check.sh: --seconds needs a number}"; shift ;;
    --peers) peers="${2:?gpu-check.sh: --peers needs a folder}"; shift ;;
    --group) group="${2:?gpu-check.sh: --group needs a name}"; shift ;;
    ops | tests | step | tune | train | bench | sanitizer | peers) parts+=("$1") ;;
    *) die "gpu-check.sh: unknown argument '$1'" ;;
  esac
  shift
done
((${#parts[@]})) || parts=(ops tests step tune train bench sanitizer peers)
[[ "$seconds" =~ ^[1-9][0-9]*$ ]] ||
  die "gpu-check.sh: --seconds $seconds: expected a number above 0"
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

# ---- what is told ----

passed=() failed=() missing=()
ok() { passed+=("$1"); echo "passed   $1"; }
bad() { failed+=("$1"); echo "FAILED   $1"; }
not_run() { missing+=("$1"); echo "not run  $1"; }

# begin LOG: empty, unless an earlier part of this call has begun it.
begun=" "
begin() {
  [[ "$begun" == *" $1 "* ]] || : > "$1"
  begun+="$1 "
}

part_end=0
left() { echo $((part_end > SECONDS ? part_end - SECONDS : 0)); }

# step NAME LOG SECONDS COMMAND...: runs it within the time that the part has, appends what it
# prints to LOG and to $work/last, and tells how it ended. Status 0, 1 (failed) or 2 (no time).
step() {
  local name="$1" log="$2" most="$3" status=0 start=$SECONDS
  shift 3
  local rest; rest="$(left)"
  ((most > rest)) && most=$rest
  if ((most < 5)); then
    not_run "$name: no time left"
    return 2
  fi
  timeout -k 5 "$most" "$@" > "$work/last" 2>&1 < /dev/null || status=$?
  {
    echo "== $name"
    cat "$work/last"
    echo "== status $status, $((SECONDS - start)) s"
    echo
  } >> "$log"
  case $status in
    0) ok "$name ($((SECONDS - start)) s)" ;;
    124 | 137) not_run "$name: not done in $most s"; return 2 ;;
    *) bad "$name: $(tail -n 1 "$work/last" | cut -c 1-200)"; return 1 ;;
  esac
}

# ---- parts ----

part_ops() {
  local log="$out/ops.txt" check="$programs/ek-check"
  begin "$log"
  if ! step "ops: test" "$log" "$seconds" \
    "$check" test --device cuda --markdown "$work/coverage.md"; then
    # After some faults a GPU refuses all that follows: then op by op, each in a process of its own.
    if grep -q cudaError "$work/last"; then
      local op
      local -a ops
      mapfile -t ops < <(awk '/^refused:|^failed:|^largest/ { exit } NR > 1 { print $1 }' \
        "$work/last")
      for op in "${ops[@]}"; do
        step "ops: test $op" "$log" 60 "$check" test --device cuda --filter "^$op\$" || true
      done
    fi
  fi
  [[ ! -f "$work/coverage.md" ]] || cat "$work/coverage.md" >> "$log"
  # Every version of a function, by the ops that call it.
  local version function callers
  for version in $("$check" versions); do
    function="${version%%=*}"
    case "$function" in
      conv2d_*) callers='conv2d|norm_conv' ;;
      norm_conv_*) callers='norm_conv' ;;
      gemm) callers='matmul|linear' ;;
      unary) callers='neg|exp|log|rsqrt|sigmoid|square|relu' ;;
      binary) callers='add|sub|mul|div|gate' ;;
      affine) callers='affine' ;;
      convert) callers='cast' ;;
      channel_stats_* | norm_act_*) callers='channel_stats|norm_act|batch_norm' ;;
      max_pool2d_* | avg_pool2d_* | global_avg_pool_* | subsample_pad_*)
        callers="${function%_*}" ;;
      softmax | softmax_loss) callers='softmax|logsumexp' ;;
      broadcast | sum_to) callers='broadcast|sum_to|softmax_cross_entropy' ;;
      take_rows | segment_sum) callers='take|segment_sum' ;;
      *) continue ;;  # no op of its own
    esac
    step "ops: test with $version" "$log" 60 "$check" test --device cuda --version "$version" \
      --filter "^($callers)" || true
  done
  step "ops: grad" "$log" "$seconds" "$check" grad --device cuda || true
  local name
  for name in conv2d max_pool2d batch_norm linear softmax_cross_entropy loss:logit-adjusted \
    model:resnet20 metagrad:difficulty-net; do
    # shellcheck disable=SC2016  # for the inner shell
    step "ops: ek-op $name" "$log" 60 bash -c 'file_on_both "$1"' _ "$name" || true
  done
}

# A file's results on the GPU against those on the CPU.
file_on_both() {
  local name="$1" line
  line="$("$programs/ek-op" "$name" --example "$work/in.st")"
  local -a words=()
  eval "words=(${line% --print})"  # quoted for a shell, by the program
  for device in cpu cuda; do
    echo "$line --device $device"
    "$programs/ek-op" "${words[@]:1}" --device $device --out "$work/$device.st" || return 1
  done
  if ! command -v python3 > /dev/null; then
    echo "no python3: both ran, nothing was compared"
    return 0
  fi
  python3 - "$work/cpu.st" "$work/cuda.st" << 'END'
import array, json, struct, sys

def tensors(path):
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    found = {}
    for name, entry in json.loads(data[8:8 + size]).items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        code = {"F32": "f", "F64": "d", "I64": "q", "U8": "B"}[entry["dtype"]]
        found[name] = (entry["dtype"], array.array(code, data[8 + size + begin:8 + size + end]))
    return found

expected, got = tensors(sys.argv[1]), tensors(sys.argv[2])
wrong = sorted(expected) != sorted(got)
for name, (dtype, values) in expected.items():
    other = got.get(name, (None, []))[1]
    most = max([abs(x) for x in values], default=0) or 1
    differences = [abs(x - y) for x, y in zip(values, other)]
    error = max(differences, default=0) / most
    # Sums in another order, through a whole network or a virtual step; a NaN is wrong, too.
    bound = 1e-9 if dtype == "F64" else 2e-4
    right = len(values) == len(other) and error <= bound and all(d == d for d in differences)
    wrong |= not right
    print(f"{name}: {error:.2g} of {bound:g}{'' if right else ', WRONG'}")
sys.exit(1 if wrong else 0)
END
}

export -f file_on_both
export programs work

# Folders that may hold cuBLAS and cuDNN: those of PyTorch's packages, and the toolkit's.
library_folders() {
  command -v python3 > /dev/null && python3 - << 'END' 2> /dev/null
import glob, sys
for folder in sys.path:
    for found in sorted(glob.glob(folder + "/nvidia/*/lib")) + glob.glob(folder + "/torch/lib"):
        print(found)
END
  ls -d /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib 2> /dev/null
  true
}

part_bench() {
  local log="$out/bench.txt" bench="$programs/ek-bench" libraries
  begin "$log"
  if [[ -x "$programs/ek-bench-vendor" ]]; then
    libraries="$(library_folders | paste -sd :)"
    if LD_LIBRARY_PATH="$libraries" "$programs/ek-bench-vendor" --help \
      > /dev/null 2> "$work/last"; then
      bench="$programs/ek-bench-vendor"
      export LD_LIBRARY_PATH="$libraries"
    else
      not_run "bench: cuBLAS and cuDNN: $(tail -n 1 "$work/last")"
    fi
  fi
  # A run for each family, so that a fault takes no other with it, those that matter most first.
  local family number=0
  for family in norm_conv_forward norm_conv_vjp norm_conv_jvp conv2d_forward conv2d_backward_data \
    conv2d_backward_weights conv2d_tangent gemm '(?!norm_conv|conv2d|gemm)'; do
    number=$((number + 1))
    step "bench: ${family/#(*/all others}" "$log" "$seconds" "$bench" --device cuda --filter "^$family" \
      --min-time 0.05 --json "$work/rates.$number.json" || true
  done
  unset LD_LIBRARY_PATH
  local file first=1
  for file in "$work"/rates.*.json; do
    [[ -f "$file" ]] || continue
    if ((first)); then echo "["; else echo ","; fi
    first=0
    cat "$file"
  done > "$out/rates.json"
  if ((first)); then rm "$out/rates.json"; else echo "]" >> "$out/rates.json"; fi
}

# A case of test-cuda; no match of the name is no success.
one_case() {
  "$programs/test-cuda" "$1" --durations yes || return 1
  [[ "$("$programs/test-cuda" --list-test-names-only "$1" || true)" == gpu:* ]]
}
export -f one_case

part_tests() {
  local log="$out/tests.txt" name
  local -a names
  begin "$log"
  # Some versions of Catch2 list with the number of cases as their status.
  mapfile -t names < <("$programs/test-cuda" --list-test-names-only '[gpu]' || true)
  ((${#names[@]})) || bad "tests: test-cuda lists no case"
  for name in "${names[@]}"; do
    name="${name#"${name%%[! ]*}"}"
    [[ "$name" == gpu:* ]] || continue
    # A case in a process of its own; a comma would end its name.
    # shellcheck disable=SC2016  # for the inner shell
    step "tests: ${name#gpu: }" "$log" "$seconds" bash -c 'one_case "$1"' _ "${name//,/\\,}" || true
  done
}

# with_median NAME LOG SECONDS COMMAND...: as step; what passed is told with the median of a step that
# the command printed as JSON.
with_median() {
  step "$@" || return 0
  local median
  median="$(tr -d '\n' < "$work/last" | grep -o '"step_ms": *{[^}]*}' |
    sed -n 's/.*"median": *\([0-9.]*\).*/\1/p' | tail -n 1)" || true
  [[ -z "$median" ]] || passed[-1]+=": median $median ms"
}

part_step() {
  local log="$out/steps.txt" bench="$programs/ek-bench-step" peer="" task precision mode
  local -a graphs
  begin "$log"
  if ! command -v python3 > /dev/null; then
    not_run "step: peers: no python3 on this machine"
  elif [[ -z "$peers" || ! -f "$peers/torch_resnet32_bench.py" ]]; then
    not_run "step: peers: no torch_resnet32_bench.py in --peers"
  elif ! python3 -c 'import torch' > /dev/null 2>&1; then
    not_run "step: peers: no PyTorch on this machine"
  else
    peer="$peers/torch_resnet32_bench.py"
  fi
  # Steps in graphs where the program has them, and op by op.
  if "$bench" --help | grep -q -- --steps-per-graph; then
    graphs=('--steps-per-graph 16' '--steps-per-graph 0')
  else
    graphs=('')
  fi
  for task in plain difficulty-net; do
    for precision in tf32 bf16 float32; do
      local graph
      for graph in "${graphs[@]}"; do
        # shellcheck disable=SC2086  # two words
        with_median "step: $task $precision $graph" "$log" 60 "$bench" --device cuda \
          --task "$task" --precision "$precision" --steps 320 --warmup 32 --json $graph
      done
      [[ -n "$peer" ]] || continue
      local name="${precision/float32/fp32}"
      local -a modes=(eager graph) how=(--steps 300)
      [[ "$name" == fp32 ]] || modes+=(compile-graph)
      if [[ "$task" == difficulty-net ]]; then
        modes=(graph)
        how=(--steps 100 --eval-images 0 --meta-method forward --share-forward)
      fi
      for mode in "${modes[@]}"; do
        with_median "step: PyTorch $task $name $mode" "$log" 90 python3 -u "$peer" \
          --task "$task" --precision "$name" --mode "$mode" "${how[@]}"
      done
    done
  done
  [[ -n "$peer" ]] || return 0
  # What is usual: the meta-gradient by reverse over reverse, eager.
  with_median "step: PyTorch difficulty-net tf32 eager reverse" "$log" 60 python3 -u "$peer" \
    --task difficulty-net --precision tf32 --mode eager --meta-method reverse --eval-images 0 \
    --steps 60
}

# One table for all steps: each adds what the ones before did not meet.
part_tune() {
  local log="$out/steps.txt" bench="$programs/ek-bench-step" table="$out/tuning.json" task precision
  begin "$log"
  if ! "$bench" --help | grep -q -- --write-tuning; then
    not_run "tune: ek-bench-step has no --autotune"
    return
  fi
  rm -f "$table"
  for precision in tf32 bf16 float32; do
    for task in plain difficulty-net; do
      with_median "tune: $task $precision" "$log" 120 "$bench" --device cuda --task "$task" \
        --precision "$precision" --steps 320 --warmup 32 --steps-per-graph 16 --json \
        --autotune --write-tuning "$table"
    done
  done
  [[ ! -f "$table" ]] || step "tune: the table is read again" "$log" 60 "$bench" --device cuda \
    --precision tf32 --steps 32 --warmup 16 --json --tuning "$table" || true
}

part_train() {
  local log="$out/train.txt" precision run
  begin "$log"
  if [[ ! -f "$data" ]]; then
    not_run "train: no data.tar.xz beside the programs (gpu-build.sh --data)"
    return
  fi
  [[ -d "$work/data" ]] || unpack "$data"
  # The split of the recipe: 490 images of the first class, and the last ten of each for the meta set.
  local -a words=("$programs/ek-train" --recipe cifar100-lt/difficulty-net --data "$work/data"
    --set data.n_max=490 --set data.subset=first --device cuda)
  for precision in tf32 bf16; do
    run="$work/run-$precision"
    # Where steps in graphs fail, once more op by op.
    if ! step "train: difficulty-net $precision" "$log" "$seconds" "${words[@]}" \
      --precision "$precision" --out "$run" && [[ ! -f "$run/summary.json" ]] &&
      "$programs/ek-train" --help | grep -q -- --steps-per-graph; then
      run="$work/run-$precision-op-by-op"
      step "train: difficulty-net $precision, op by op" "$log" "$seconds" "${words[@]}" \
        --precision "$precision" --out "$run" --steps-per-graph 0 || true
    fi
    [[ -f "$run/summary.json" ]] || continue
    cat "$run/summary.json" >> "$log"
    step "train: ek-eval of the $precision run" "$log" 60 "$programs/ek-eval" --checkpoint "$run" \
      --data "$work/data" --device cuda || true
  done
}

part_sanitizer() {
  local log="$out/tests.txt" tool sanitizer="" candidate
  for candidate in "$(command -v compute-sanitizer || true)" /usr/local/cuda/bin/compute-sanitizer \
    /usr/local/cuda/compute-sanitizer/compute-sanitizer; do
    [[ -n "$candidate" && -x "$candidate" ]] && { sanitizer="$candidate"; break; }
  done
  if [[ -z "$sanitizer" ]]; then
    not_run "sanitizer: no compute-sanitizer on this machine"
    return
  fi
  # It does not work in every container: said once, not as so many faults.
  timeout 60 "$sanitizer" "$programs/ek-check" test --device cuda --dtype float32 --filter '^relu$' \
    > "$work/last" 2>&1 || true
  if grep -q -i 'not supported\|failed to initialize' "$work/last"; then
    not_run "sanitizer: $(grep -i -m 1 'not supported\|failed to initialize' "$work/last")"
    return
  fi
  local ops
  begin "$log"
  for ops in 'conv2d|norm_conv' 'channel_stats|norm_act' 'matmul|linear|softmax|logsumexp' \
    'pool|subsample|take|segment|pick|place' 'sum|broadcast|add|mul|affine|relu|cast'; do
    for tool in memcheck racecheck synccheck initcheck; do
      step "sanitizer: $tool $ops" "$log" 120 "$sanitizer" --tool "$tool" --error-exitcode 9 \
        --print-limit 20 "$programs/ek-check" test --device cuda --filter "^($ops)" || true
    done
  done
}

part_peers() {
  local log="$out/steps.txt" script
  if [[ -z "$peers" ]]; then
    not_run "peers: no --peers DIR"
    return
  fi
  if ! command -v python3 > /dev/null; then
    not_run "peers: no python3 on this machine"
    return
  fi
  begin "$log"
  if [[ -f "$peers/run_all.sh" ]]; then
    OUT="$work/peers" step "peers: $group" "$log" "$seconds" bash "$peers/run_all.sh" "$group" \
      python3 || true
    cat "$work/peers/peers_$group.jsonl" >> "$log" 2> /dev/null || true
    return
  fi
  for script in "$peers"/*.py; do
    if [[ ! -f "$script" ]]; then
      not_run "peers: no Python scripts in $peers"
      return
    fi
    step "peers: $(basename "$script")" "$log" "$seconds" python3 -u "$script" || true
  done
}

# ---- the run ----

machine() {
  if command -v nvidia-smi > /dev/null &&
    nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2> /dev/null; then
    return
  fi
  head -n 1 /proc/driver/nvidia/version 2> /dev/null || echo "no driver tells of itself"
}

# Without a GPU the programs say why in one line.
no_gpu=""
if ! "$programs/ek-check" test --device cuda --dtype float32 --filter '^relu$' > "$work/last" 2>&1 &&
  grep -q '^error: --device cuda' "$work/last"; then
  no_gpu="$(sed -n 's/^error: --device cuda: //p' "$work/last")"
fi
for part in "${parts[@]}"; do
  part_end=$((SECONDS + seconds))
  if [[ -n "$no_gpu" ]]; then
    not_run "$part: $no_gpu"
  else
    "part_$part"
  fi
done

{
  echo "gpu-check ${parts[*]}"
  echo "machine: $(machine)"
  echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
  echo "passed ${#passed[@]}, failed ${#failed[@]}, not run ${#missing[@]}; $SECONDS s"
  ((${#failed[@]} == 0)) || printf 'FAILED   %s\n' "${failed[@]}"
  ((${#missing[@]} == 0)) || printf 'not run  %s\n' "${missing[@]}"
  ((${#passed[@]} == 0)) || printf 'passed   %s\n' "${passed[@]}"
} > "$out/summary.txt"
sed -n '2,4p' "$out/summary.txt"
((${#failed[@]} == 0)) || exit 1
((${#passed[@]} > 0)) || exit 3
