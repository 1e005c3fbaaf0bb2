#!/usr/bin/env bash
# The part `profile` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

# GB of device memory that a step moves at least: each operand of each convolution once, data and
# weight gradients in one kernel; ResNet-32, batch 128, meta batch 100.
floor_gb_of() {
  case "$1" in
    'plain tf32') echo 1.24 ;;
    'plain bf16') echo 0.62 ;;
    'difficulty-net tf32') echo 3.84 ;;
    'difficulty-net bf16') echo 1.92 ;;
  esac
}

part_profile() {
  local log="$out/steps.txt" ncu task precision steps=3
  ncu="$(find_tool ncu /usr/local/cuda/bin/ncu /opt/nvidia/nsight-compute/*/ncu)"
  if [[ -z "$ncu" ]] || ! command -v python3 > /dev/null; then
    not_run "profile: no ${ncu:+python3}${ncu:-ncu} on this machine"
    return
  fi
  begin "$log"
  # Kernels run one after another, as in a step, but each is waited for: caches are left as they are,
  # and so are the clocks. Its own file, since the table wants the first and the log the second.
  for precision in tf32 bf16; do
    for task in plain difficulty-net; do
      # shellcheck disable=SC2016  # for the inner shell
      step "profile: $task $precision" "$log" 120 bash -c '
        set -o pipefail
        "$1" --profile-from-start off --clock-control none --cache-control none --csv \
          --print-units base --print-kernel-base function \
          --metrics gpu__time_duration.sum,dram__bytes_read.sum,dram__bytes_write.sum \
          "$2" --device cuda --task "$3" --precision "$4" --steps "$5" --warmup 8 \
          --steps-per-graph 0 --json > "$7" || { head -n 20 "$7"; exit 1; }
        python3 "$8" "$5" "$6" < "$7" || { head -n 20 "$7"; exit 1; }
      ' _ "$ncu" "$programs/ek-bench-step" "$task" "$precision" $steps \
        "$(floor_gb_of "$task $precision")" "$work/ncu.csv" \
        "$root/scripts/gpu-check/kernel_table.py" || continue
      passed[-1]+=": $(tail -n 1 "$work/last")"
      write_summary
    done
  done
}
