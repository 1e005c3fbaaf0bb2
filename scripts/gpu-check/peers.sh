#!/usr/bin/env bash
# The part `peers` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

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
    local lines="$work/peers/peers_$group.jsonl" errors="$work/peers/stderr_$group.txt"
    OUT="$work/peers" attempt "peers: $group" "$log" "$seconds" bash "$peers/run_all.sh" "$group" \
      python3
    # Its own time limits put each script into a process group that ours does not reach.
    [[ $outcome != late ]] || pkill -KILL -f "$peers/" || true
    cat "$lines" >> "$log" 2> /dev/null || true
    tail -n 100 "$errors" >> "$log" 2> /dev/null || true
    if [[ $outcome == passed ]] && ! grep -q '"error"' "$lines"; then
      ok "peers: $group ($took s)"
    elif [[ $outcome == late ]]; then
      not_run "peers: $group: $why"
    else
      not_run "peers: $group: $(grep -h -c '"error"' "$lines" 2> /dev/null || echo some) cases ended in an error"
    fi
    return
  fi
  for script in "$peers"/*.py; do
    if [[ ! -f "$script" ]]; then
      not_run "peers: no Python scripts in $peers"
      return
    fi
    peer "peers: $(basename "$script")" "$log" "$seconds" python3 -u "$script"
  done
}
