#!/usr/bin/env bash
# The part `sanitizer` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

part_sanitizer() {
  local log="$out/tests.txt" tool sanitizer ops
  sanitizer="$(find_tool compute-sanitizer /usr/local/cuda/bin/compute-sanitizer \
    /usr/local/cuda/compute-sanitizer/compute-sanitizer)"
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
  begin "$log"
  # The quick ones first: programs run ten to a hundred times slower under these tools.
  for tool in memcheck racecheck synccheck initcheck; do
    for ops in 'pool|subsample|take|segment|pick|place' 'matmul|linear|softmax|logsumexp' \
      'channel_stats|norm_act' 'sum|broadcast|add|mul|affine|relu|cast' 'norm_conv' 'conv'; do
      step "sanitizer: $tool $ops" "$log" 90 "$sanitizer" --tool "$tool" --error-exitcode 9 \
        --print-limit 20 "$programs/ek-check" test --device cuda --filter "^($ops)" || true
    done
  done
}
