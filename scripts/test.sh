#!/usr/bin/env bash
# Usage: scripts/test.sh [--full] [--only REGEX]
#
# Installs what is missing, builds everything and runs the tests that take seconds. --full adds the
# slow ones, and a build with the address and undefined-behaviour sanitizers and its tests.
# --only runs the tests whose names match: house, kernels, engine, models, data, methods,
# benchmarks, apps.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

full=0
select=()
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --full) full=1 ;;
    --only) select=(-R "${2:?test.sh: --only needs an expression}"); shift ;;
    *) die "test.sh: unknown argument '$1'" ;;
  esac
  shift
done

# One test program at a time: each uses all cores by itself.
scripts/build.sh --all
if ((full)); then
  ctest --preset release "${select[@]}"
  scripts/build.sh --all --preset sanitize
  ctest --preset sanitize -LE slow "${select[@]}"
else
  ctest --preset release -LE slow "${select[@]}"
fi
