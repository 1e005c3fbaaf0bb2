#!/usr/bin/env bash
# The part `step` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

part_step() {
  local log="$out/steps.txt" bench="$programs/ek-bench-step" torch="" task precision mode graph
  begin "$log"
  find_torch_peer
  for precision in tf32 bf16 float32; do
    for task in plain difficulty-net; do
      for graph in 16 0; do  # 0: op by op
        step "step: $task $precision --steps-per-graph $graph" "$log" 60 "$bench" --device cuda \
          --task "$task" --precision "$precision" --steps 320 --warmup 32 --json \
          --steps-per-graph $graph || true
      done
      [[ -n "$torch" ]] || continue
      for mode in eager graph; do
        [[ "$task $mode" == 'difficulty-net eager' ]] || torch_step "$task" "$precision" $mode 90
      done
    done
  done
  [[ -n "$torch" ]] || return 0
  # What is usual: the meta-gradient by reverse over reverse, eager.
  peer "step: PyTorch difficulty-net tf32 eager reverse" "$log" 60 python3 -u "$torch" \
    --task difficulty-net --precision tf32 --mode eager --meta-method reverse --eval-images 0 \
    --steps 60
  # At last what takes minutes to compile.
  for precision in tf32 bf16; do
    for task in plain difficulty-net; do
      torch_step $task $precision compile-graph 150
    done
  done
}

# Sets `torch` to the peer's script, or says why there is none.
find_torch_peer() {
  if ! command -v python3 > /dev/null; then
    not_run "step: peers: no python3 on this machine"
  elif [[ -z "$peers" || ! -f "$peers/torch_resnet32_bench.py" ]]; then
    not_run "step: peers: no torch_resnet32_bench.py in --peers"
  elif ! timeout 120 python3 -c 'import torch' > /dev/null 2>&1; then
    not_run "step: peers: no PyTorch on this machine"
  else
    torch="$peers/torch_resnet32_bench.py"
    export TORCHINDUCTOR_CACHE_DIR="$work/inductor"
  fi
}

# torch_step TASK PRECISION MODE SECONDS
torch_step() {
  local -a how=(--steps 300)
  [[ "$1" == plain ]] ||
    how=(--steps 100 --eval-images 0 --meta-method forward --share-forward)
  peer "step: PyTorch $1 $2 $3" "$log" "$4" python3 -u "$torch" --task "$1" \
    --precision "${2/float32/fp32}" --mode "$3" "${how[@]}"
}
