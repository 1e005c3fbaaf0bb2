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

# Where cuobjdump is: EK_CUOBJDUMP, PATH, beside nvcc; nothing where it is not.
find_cuobjdump() {
  local nvcc candidate
  nvcc="$(command -v nvcc || true)"
  for candidate in "${EK_CUOBJDUMP:-}" "$(command -v cuobjdump || true)" \
    ${nvcc:+"$(dirname "$(readlink -f "$nvcc")")/cuobjdump"} /usr/local/cuda/bin/cuobjdump; do
    [[ -n "$candidate" && -x "$candidate" ]] && { echo "$candidate"; return; }
  done
  return 0
}

# readable_kernels FIELDS: of lines with a demangled name behind so many fields leaves of the name
# what tells kernels apart: no result type, parameters or namespaces, and no casts in template
# arguments.
readable_kernels() {
  awk -v fields="$1" '{
    line = $0; head = ""
    for (i = 1; i <= fields; ++i) { head = head $i " "; sub(/^[^ ]+ /, "", line) }
    gsub(/\(anonymous namespace\)::/, "", line)
    gsub(/(ek::)?(kernels::)?(cuda_target::|kernels::|ek::)/, "", line)
    sub(/^void /, "", line)
    depth = 0; name = ""
    for (i = 1; i <= length(line); ++i) {
      c = substr(line, i, 1)
      if (c == "(" && depth == 0) break
      if (c == "<") ++depth
      if (c == ">") --depth
      name = name c
    }
    gsub(/\([A-Za-z_:]+( [a-z]+)*\)/, "", name)
    while (gsub(/> >/, ">>", name)) {}
    print head name
  }'
}
