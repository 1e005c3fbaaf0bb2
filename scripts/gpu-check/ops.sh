#!/usr/bin/env bash
# The part `ops` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

part_ops() {
  local log="$out/ops.txt" check="$programs/ek-check" op name dtype
  begin "$log"
  step "ops: test" "$log" 150 "$check" test --device cuda --progress \
    --markdown "$work/coverage.md" || true
  if ! grep -q 'checks passed' "$work/last" || grep -q cudaError "$work/last"; then
    # It did not come to its end, or a fault made the GPU refuse all that followed: op by op, each in
    # a process of its own.
    for op in $("$check" ops); do
      step "ops: test $op" "$log" 20 "$check" test --device cuda --filter "^$op\$" || true
    done
  fi
  [[ ! -f "$work/coverage.md" ]] || cat "$work/coverage.md" >> "$log"
  step "ops: grad" "$log" 60 "$check" grad --device cuda || true
  for name in conv2d max_pool2d batch_norm linear softmax_cross_entropy loss:logit-adjusted \
    model:resnet20 metagrad:difficulty-net; do
    for dtype in float64 float32; do
      # shellcheck disable=SC2016  # for the inner shell
      step "ops: ek-op $name $dtype" "$log" 60 bash -c 'file_on_both "$@"' _ "$name" $dtype || true
    done
  done
  every_version
}

# Every version of a function, by the ops that call it: first the n-th one of all functions at once,
# where a call that one of them does not serve is refused as a whole; then each alone.
every_version() {
  local number=0 version function
  local -a all named
  local -A seen
  mapfile -t all < <("$check" versions)
  while :; do
    named=() seen=()
    for version in "${all[@]}"; do
      function="${version%%=*}"
      seen[$function]=$((${seen[$function]:-0} + 1))
      ((seen[$function] - 1 == number)) && named+=(--version "$version")
    done
    ((${#named[@]})) || break
    number=$((number + 1))
    step "ops: test with version $number of each kernel" "$log" 60 "$check" test --device cuda \
      "${named[@]}" || true
  done
  for version in "${all[@]}"; do
    step "ops: test with $version" "$log" 20 "$check" test --device cuda --version "$version" \
      --filter "^($(callers_of "${version%%=*}"))" || true
  done
}

# The ops that call a function of kernels/base/versions.h, as a regular expression of what they begin with.
callers_of() {
  case "$1" in
    conv2d_*) echo 'conv|norm_conv' ;;
    norm_conv_*) echo 'norm_conv|conv_stats' ;;
    gemm) echo 'matmul|linear|pooled_linear' ;;
    head_*) echo 'pooled_linear' ;;
    unary) echo 'neg|exp|log|rsqrt|sigmoid|square|relu' ;;
    binary) echo 'add|sub|mul|div|gate' ;;
    affine) echo 'affine' ;;
    convert) echo 'cast' ;;
    channel_stats_* | norm_act_*) echo 'channel_stats|norm_act|batch_norm|conv_stats' ;;
    max_pool2d_* | avg_pool2d_* | global_avg_pool_* | subsample_pad_*) echo "${1%_*}" ;;
    softmax | softmax_loss) echo 'softmax|logsumexp' ;;
    broadcast | sum_to) echo 'broadcast|sum_to|softmax_cross_entropy' ;;
    take_rows | segment_sum) echo 'take|segment_sum' ;;
    *) echo 'softmax_cross_entropy' ;;  # no op of its own: shows that naming it does no harm
  esac
}

# file_on_both OP DTYPE: a file's results on the GPU against those on the CPU.
file_on_both() {
  local name="$1" dtype="$2" line
  line="$("$programs/ek-op" "$name" --example "$work/in.st")"
  local -a words=()
  eval "words=(${line% --print})"  # quoted for a shell, by the program
  for device in cpu cuda; do
    echo "$line --dtype $dtype --device $device"
    "$programs/ek-op" "${words[@]:1}" --dtype "$dtype" --device $device --out "$work/$device.st" ||
      return 1
  done
  if ! command -v python3 > /dev/null; then
    echo "no python3: both ran, nothing was compared"
    return 0
  fi
  python3 "$root/scripts/gpu-check/compare_tensors.py" "$work/cpu.st" "$work/cuda.st"
}
export -f file_on_both
export root programs work
