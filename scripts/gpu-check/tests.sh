#!/usr/bin/env bash
# The part `tests` of gpu-check.sh, which sources this file.
# shellcheck disable=SC2154  # what gpu-check.sh has set
set -euo pipefail

part_tests() {
  local log="$out/tests.txt" name count=0
  local -a names
  begin "$log"
  # Catch2 2 lists with the number of cases as its status.
  mapfile -t names < <(timeout 60 "$programs/test-cuda" --list-test-names-only '[gpu]' || true)
  for name in "${names[@]}"; do
    name="${name#"${name%%[! ]*}"}"
    [[ "$name" == gpu:* ]] || continue
    count=$((count + 1))
    # A case in a process of its own; a comma would end its name.
    # shellcheck disable=SC2016  # for the inner shell
    step "tests: ${name#gpu: }" "$log" 240 bash -c 'one_case "$1"' _ "${name//,/\\,}" || true
  done
  ((count > 0)) || bad "tests: test-cuda lists no case"
}

# A case of test-cuda; no match of the name is no success.
one_case() {
  "$programs/test-cuda" "$1" --durations yes || return 1
  [[ "$("$programs/test-cuda" --list-test-names-only "$1" || true)" == gpu:* ]]
}
export -f one_case
