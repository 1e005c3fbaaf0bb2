#!/usr/bin/env bash
# What the scripts share; sourced, never run. Sets `root` to the source tree and goes there.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$root"

die() {
  echo "error: $*" >&2
  exit 2
}

# The comment at the head of the calling script is its help.
print_help() {
  sed -n '2,$ { /^#/!q; s/^# \{0,1\}//; p }' "$root/scripts/$(basename "$1")"
}
