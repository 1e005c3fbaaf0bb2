#!/usr/bin/env bash
# Usage: scripts/build.sh [--all] [--preset release|debug|sanitize] [--jobs N] [-- CMAKE_ARGUMENT...]
#
# Installs what is missing and builds the programs into build/PRESET/bin (release unless said
# otherwise); --all builds the tests too. Arguments after -- go to the configuration, for example
# -D EK_ARCH=x86-64-v3 for programs that run on other machines than this one.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

target=programs
preset=release
# The compiler takes up to about 1.5 GB for a file; fewer jobs where memory is short.
memory_kb="$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo 2> /dev/null || true)"
jobs="$(nproc)"
fits=$((${memory_kb:-16000000} / 1500000))
((fits < jobs)) && jobs=$((fits > 0 ? fits : 1))

while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --all) target=all ;;
    --preset) preset="${2:?build.sh: --preset needs a name}"; shift ;;
    --jobs) jobs="${2:?build.sh: --jobs needs a number}"; shift ;;
    --) shift; break ;;
    *) die "build.sh: unknown argument '$1'" ;;
  esac
  shift
done

scripts/install-deps.sh

# A build folder that was copied from another place cannot be used again.
folder="build/$preset"
fresh=()
if [[ -f "$folder/CMakeCache.txt" ]] &&
  ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$folder/CMakeCache.txt"; then
  fresh=(--fresh)
fi
cmake --preset "$preset" "${fresh[@]}" "$@" >&2
ninja -C "$folder" -j "$jobs" "$target" >&2
