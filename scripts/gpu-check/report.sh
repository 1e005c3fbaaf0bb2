#!/usr/bin/env bash
# What gpu-check.sh tells: sourced by it, before its parts. Uses $out, $work, $parts and part_end.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

passed=() failed=() missing=()
ok() { passed+=("$1"); echo "passed   $1"; write_summary; }
bad() { failed+=("$1"); echo "FAILED   $1"; write_summary; }
not_run() { missing+=("$1"); echo "not run  $1"; write_summary; }

machine=""
describe_machine() {
  if command -v nvidia-smi > /dev/null; then
    machine="$(timeout 30 nvidia-smi --query-gpu=name,driver_version,memory.total \
      --format=csv,noheader 2> /dev/null | paste -sd ';')" || true
  fi
  [[ -n "$machine" ]] || machine="$(head -n 1 /proc/driver/nvidia/version 2> /dev/null)" ||
    machine="no driver tells of itself"
  machine+=$'\n'"processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores"
}

# After every step, so that a call which is cut short has told what it did.
write_summary() {
  {
    echo "gpu-check ${parts[*]}"
    echo "machine: $machine"
    echo "passed ${#passed[@]}, failed ${#failed[@]}, not run ${#missing[@]}; $SECONDS s"
    ((${#failed[@]} == 0)) || printf 'FAILED   %s\n' "${failed[@]}"
    ((${#missing[@]} == 0)) || printf 'not run  %s\n' "${missing[@]}"
    ((${#passed[@]} == 0)) || printf 'passed   %s\n' "${passed[@]}"
  } > "$out/summary.txt"
}

# begin LOG: empty, unless an earlier part of this call has begun it.
begun=" "
begin() {
  [[ "$begun" == *" $1 "* ]] || : > "$1"
  begun+="$1 "
}

part_end=0
left() { echo $((part_end > SECONDS ? part_end - SECONDS : 0)); }

# attempt NAME LOG SECONDS COMMAND...: runs it within the time that the part has, and appends what
# it prints to LOG; $work/last has it, too. Sets `outcome`: passed, failed, or late with `why`;
# `status` of the command; and `took`, in seconds.
attempt() {
  local name="$1" log="$2" most="$3" start=$SECONDS
  shift 3
  status=0
  local rest; rest="$(left)"
  ((most > rest)) && most=$rest
  : > "$work/last"
  outcome=late why="no time left" took=0
  ((most < 5)) && return 0
  # The outer stderr is the shell's own, which tells of signals; `reason` does, too.
  { timeout -k 5 "$most" "$@" > "$work/last" 2>&1 < /dev/null || status=$?; } 2> /dev/null
  took=$((SECONDS - start))
  {
    echo "== $name"
    cat "$work/last"
    echo "== status $status, $took s"
    echo
  } >> "$log"
  case $status in
    0) outcome=passed ;;
    124 | 137) why="not done in $most s" ;;
    *) outcome=failed ;;
  esac
}

# The line of $work/last that says most of what went wrong; after a crash, which.
reason() {
  local line
  if ((status > 128)); then
    echo "ended by signal $((status - 128)) (SIG$(kill -l $((status - 128)) 2> /dev/null || true))"
    return
  fi
  line="$(grep -m 1 -E '^error: |Error: |"error": |FAILED' "$work/last" ||
    grep -v '^[][{}, ]*$' "$work/last" | tail -n 1)" || true
  cut -c 1-200 <<< "${line:-status $status}"
}

# The median of a step that the command printed as JSON, with a colon in front; else nothing.
median() {
  tr -d '\n' < "$work/last" | grep -o '"step_ms": *{[^}]*}' |
    sed -n 's/.*"median": *\([0-9.]*\).*/: median \1 ms/p' | tail -n 1 || true
}

# The first of these that can be run; nothing where none can.
find_tool() {
  local candidate
  for candidate in "$@"; do
    candidate="$(command -v "$candidate")" && echo "$candidate" && return
  done
  true
}

# step NAME LOG SECONDS COMMAND...: attempt, and tells how it ended. Status 0, 1 (failed) or 2 (no
# time).
step() {
  attempt "$@"
  case $outcome in
    passed) ok "$1 ($took s)$(median)" ;;
    late) not_run "$1: $why"; return 2 ;;
    failed) bad "$1: $(reason)"; return 1 ;;
  esac
}

# peer NAME LOG SECONDS COMMAND...: as step, for somebody else's program, whose failure is not ours.
peer() {
  attempt "$@"
  case $outcome in
    passed) ok "$1 ($took s)$(median)" ;;
    late) not_run "$1: $why" ;;
    failed) not_run "$1: $(reason)" ;;
  esac
}
