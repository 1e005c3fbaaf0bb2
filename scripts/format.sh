#!/usr/bin/env bash
# Usage: scripts/format.sh [--check] [FILE...]
#
# Runs clang-format over the sources, all of them unless files are named. --check changes nothing,
# names what it would change, and exits with 1 if there is any.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

mode=(-i)
files=()
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --check) mode=(--dry-run) ;;
    -*) die "format.sh: unknown argument '$1'" ;;
    *) files+=("$1") ;;
  esac
  shift
done
command -v clang-format > /dev/null || die "format.sh: clang-format is not installed"

if ((${#files[@]} == 0)); then
  mapfile -t files < <(find kernels engine models data methods apps benchmarks tests -type f \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) | sort)
fi
if [[ "${mode[0]}" == -i ]]; then
  clang-format -i "${files[@]}"
  exit 0
fi
status=0
for file in "${files[@]}"; do
  clang-format "$file" | cmp -s - "$file" || { echo "$file"; status=1; }
done
exit $status
