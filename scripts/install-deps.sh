#!/usr/bin/env bash
# Usage: scripts/install-deps.sh
#
# Installs what the build needs, where something is missing, through apt (Debian 12 and later,
# Ubuntu 24.04 and later). Says what it installs; says nothing when all is there. Uses sudo when not
# run as root. EK_SKIP_INSTALL=1 skips it, for machines that have the libraries from elsewhere.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case "${1:-}" in
  -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
  "") ;;
  *) die "install-deps.sh: unknown argument '$1'" ;;
esac

[[ "${EK_SKIP_INSTALL:-0}" == 1 ]] && exit 0

# A program counts as there wherever it comes from, a library if apt knows it as installed.
programs=(g++:g++ cmake:cmake ninja:ninja-build)
libraries=(libfmt-dev nlohmann-json3-dev libcli11-dev libstb-dev libjpeg-dev catch2
  libboost-context-dev)
# The build does without these: oneDNN makes float32 and bf16 convolutions faster, Google Benchmark
# is for ek-bench.
optional=(libdnnl-dev libbenchmark-dev)

if ! command -v apt-get > /dev/null; then
  missing=()
  for row in "${programs[@]}"; do
    command -v "${row%%:*}" > /dev/null || missing+=("${row%%:*}")
  done
  ((${#missing[@]} == 0)) || die "no apt-get here; install by hand: ${missing[*]}"
  exit 0  # CMake names a library that it does not find
fi

installed() {
  [[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2> /dev/null)" == installed ]]
}

wanted=()
for row in "${programs[@]}"; do
  command -v "${row%%:*}" > /dev/null || wanted+=("${row##*:}")
done
for package in "${libraries[@]}"; do
  installed "$package" || wanted+=("$package")
done
wanted_optional=()
for package in "${optional[@]}"; do
  installed "$package" || wanted_optional+=("$package")
done
((${#wanted[@]} + ${#wanted_optional[@]} == 0)) && exit 0

run=()
if [[ "$(id -u)" != 0 ]]; then
  if ((${#wanted[@]} == 0)); then  # not worth a password
    echo "note: not installed, optional: ${wanted_optional[*]}" >&2
    exit 0
  fi
  command -v sudo > /dev/null ||
    die "missing packages; as root: apt-get install ${wanted[*]} ${wanted_optional[*]}"
  run=(sudo)
fi
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
apt() {
  "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" > "$log" 2>&1
}

if ((${#wanted[@]} > 0)); then
  echo "updating the package lists" >&2
  apt update || echo "note: apt-get update failed: $(tail -n 1 "$log")" >&2
fi
if ((${#wanted[@]} > 0)); then
  echo "installing: ${wanted[*]}" >&2
  apt install --no-install-recommends "${wanted[@]}" || {
    tail -n 5 "$log" >&2
    die "apt-get could not install: ${wanted[*]}"
  }
fi
for package in "${wanted_optional[@]}"; do
  apt-cache show "$package" > /dev/null 2>&1 || continue
  echo "installing: $package (optional)" >&2
  apt install --no-install-recommends "$package" || echo "not installed: $package" >&2
done
