#!/usr/bin/env bash
# Usage: scripts/test.sh [--full] [--only REGEX]
#
# Installs what is missing, builds everything and runs the tests that take seconds. --full adds the
# slow ones, the CUDA kernels through nvcc where that is found (with cuobjdump, the hot ones must not
# spill), and a build with the address and undefined-behaviour sanitizers and its tests.
# --only runs the tests whose names match: house, kernels, simt (the CUDA kernels on the host, plain
# and checked), engine, models, data, methods, benchmarks, apps.
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
  # Where nvcc is found, the CUDA kernels must compile.
  if ninja -C build/release -t query ek_kernels_cuda > /dev/null 2>&1; then
    ninja -C build/release ek_kernels_cuda ek_test_kernels_cuda >&2
    scripts/kernel-resources.sh --check || (($? == 3))  # a compiler may come without cuobjdump
    scripts/kernel-instructions.sh --check || (($? == 3))
  fi
  ctest --preset release "${select[@]}"
  scripts/build.sh --all --preset sanitize
  ctest --preset sanitize -LE slow "${select[@]}"
else
  ctest --preset release -LE slow "${select[@]}"
fi
