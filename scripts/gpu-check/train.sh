#!/usr/bin/env bash
# The part `train` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

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
    if ! step "train: difficulty-net $precision" "$log" 240 "${words[@]}" \
      --precision "$precision" --out "$run" && [[ $outcome == failed ]]; then
      run="$work/run-$precision-op-by-op"
      step "train: difficulty-net $precision, op by op" "$log" 240 "${words[@]}" \
        --precision "$precision" --out "$run" --steps-per-graph 0 || true
    fi
    [[ ! -f "$run/metrics.jsonl" ]] || tail -n 25 "$run/metrics.jsonl" >> "$log"
    [[ -f "$run/summary.json" ]] || continue
    cat "$run/summary.json" >> "$log"
    step "train: ek-eval of the $precision run" "$log" 60 "$programs/ek-eval" --checkpoint "$run" \
      --data "$work/data" --device cuda || true
  done
}
