#!/usr/bin/env bash
# The part `bench` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

# Folders that may hold cuBLAS and cuDNN: those of PyTorch's packages, and the toolkit's.
library_folders() {
  command -v python3 > /dev/null && timeout 60 python3 - << 'END' 2> /dev/null
import glob, sys
for folder in sys.path:
    for found in sorted(glob.glob(folder + "/nvidia/*/lib")) + glob.glob(folder + "/torch/lib"):
        print(found)
END
  ls -d /usr/local/cuda/lib64 /usr/local/cuda/targets/*/lib 2> /dev/null
  true
}

part_bench() {
  local log="$out/bench.txt" bench="$programs/ek-bench" libraries="${LD_LIBRARY_PATH:-}"
  begin "$log"
  if [[ -x "$programs/ek-bench-vendor" ]]; then
    # Behind what is there already, where the driver may be.
    local with
    with="${libraries:+$libraries:}$(library_folders | paste -sd :)"
    if LD_LIBRARY_PATH="$with" timeout 60 "$programs/ek-bench-vendor" --help \
      > /dev/null 2> "$work/last"; then
      bench="$programs/ek-bench-vendor"
      libraries="$with"
    else
      not_run "bench: cuBLAS and cuDNN: $(tail -n 1 "$work/last")"
    fi
  fi
  # A run for each family, so that a fault takes no other with it, those that matter most first.
  local family number=0
  for family in norm_conv_forward norm_conv_vjp norm_conv_jvp conv2d_forward conv2d_backward_data \
    conv2d_backward_weights conv2d_tangent gemm '(?!norm_conv|conv2d|gemm)'; do
    number=$((number + 1))
    step "bench: ${family/#(*/all others}" "$log" 150 env LD_LIBRARY_PATH="$libraries" "$bench" \
      --device cuda --filter "^$family" --min-time 0.05 --footprint 256 \
      --json "$work/rates.$number.json" || true
  done
  local file first=1
  for file in "$work"/rates.*.json; do
    [[ -f "$file" ]] || continue
    if ((first)); then echo "["; else echo ","; fi
    first=0
    cat "$file"
  done > "$out/rates.json"
  if ((first)); then rm "$out/rates.json"; else echo "]" >> "$out/rates.json"; fi
}
