#!/usr/bin/env bash
# The part `tune` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

# One table for all steps: each adds what the ones before did not meet.
part_tune() {
  local log="$out/steps.txt" bench="$programs/ek-bench-step" table="$out/tuning.json" task precision
  begin "$log"
  rm -f "$table"
  for precision in tf32 bf16 float32; do
    for task in plain difficulty-net; do
      step "tune: $task $precision" "$log" 120 "$bench" --device cuda --task "$task" \
        --precision "$precision" --steps 320 --warmup 32 --steps-per-graph 16 --json \
        --autotune --write-tuning "$table" || true
    done
  done
  [[ ! -f "$table" ]] || step "tune: the table is read again" "$log" 60 "$bench" --device cuda \
    --precision tf32 --steps 32 --warmup 16 --json --tuning "$table" || true
}
