#!/usr/bin/env bash
# Usage: scripts/kernel-instructions.sh [--check] [LIBRARY...]
#
# How many instructions a warp of the hot CUDA kernels runs, as cuobjdump disassembles them from the
# library ek_kernels_cuda (build/release/kernels/cuda/libek_kernels_cuda.a unless others, or cubins,
# are named): a table in Markdown. The count of a region is its instructions and, of each loop in
# it, those once more for every further round; kernels/cuda/hot_instructions.txt says which regions
# and how many rounds. Instructions that a branch leaves out are counted, so a warp runs at most as
# many. --check prints no table.
#
# Exits with 2 where a count is more than 5% above that of the file, where a region has another
# number of loops than the file says, and where no kernel fits a line. cuobjdump (package
# cuda-cuobjdump-13-0) is looked for in EK_CUOBJDUMP, in PATH and beside nvcc; without it the exit
# status is 3.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

hot=kernels/cuda/hot_instructions.txt
table=1
libraries=()
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --check) table=0 ;;
    -*) die "kernel-instructions.sh: unknown argument '$1'" ;;
    *) libraries+=("$1") ;;
  esac
  shift
done
((${#libraries[@]})) || libraries=(build/release/kernels/cuda/libek_kernels_cuda.a)
for library in "${libraries[@]}"; do
  [[ -f "$library" ]] ||
    die "kernel-instructions.sh: $library is not there; ninja ek_kernels_cuda builds it"
done
cuobjdump="$(find_cuobjdump)"
if [[ -z "$cuobjdump" ]]; then
  echo "kernel-instructions.sh: no cuobjdump, so instructions of kernels are not known" >&2
  exit 3
fi

# One line per kernel: STATIC HMMA BLOCK TILE NAME. A region is its instructions and, behind colons,
# those of its loops; 0 where there is none. A loop is a branch back.
facts() {
  for library in "${libraries[@]}"; do "$cuobjdump" -sass "$library"; done | awk '
    function region(from, to, whole,   i, text) {
      text = to - from + 1
      for (i = 1; i <= loops; ++i) {
        if (i != whole && first[i] >= from && last[i] <= to) text = text ":" (last[i] - first[i] + 1)
      }
      return text
    }
    function finish(   i, j, tile, h) {
      if (name == "" || n == 0) return
      loops = 0
      for (i = 1; i <= n; ++i) {
        if (target[i] == "" || !(target[i] in at) || at[target[i]] >= i) continue
        ++loops; first[loops] = at[target[i]]; last[loops] = i
      }
      tile = 0
      for (i = 1; i <= loops; ++i) {  # the last one with products that no other contains
        h = products[last[i]] - products[first[i] - 1]
        for (j = 1; j <= loops && h > 0; ++j) {
          if (j != i && first[j] <= first[i] && last[j] >= last[i]) h = 0
        }
        if (h > 0) tile = i
      }
      print n, products[n] + 0, ticket ? region(1, ticket - 1, 0) : 0,
        tile ? region(first[tile], last[tile], tile) : 0, name
    }
    function reset() { n = 0; ticket = 0; delete at; delete target; delete products; products[0] = 0 }
    $1 == "Function" { finish(); reset(); name = $3 }
    $1 ~ /^\/\*[0-9a-f]+\*\/$/ && NF > 2 {
      address = $1; gsub(/[^0-9a-f]/, "", address); sub(/^0+/, "", address)
      at[address] = ++n
      products[n] = products[n - 1] + (/ HMMA/ ? 1 : 0)
      if (!ticket && / ATOMG?\./) ticket = n
      sub(/;.*/, "")  # the encoding
      if (/ BRA(\.[A-Z.]+)? .*0x[0-9a-f]+/) {
        sub(/^.*0x0*/, ""); sub(/[^0-9a-f].*/, ""); target[n] = $0
      }
    }
    END { finish() }' | c++filt
}

kernels="$(facts | readable_kernels 4 | LC_ALL=C sort -k5 | uniq)"
[[ -n "$kernels" ]] || die "kernel-instructions.sh: ${libraries[*]}: no kernels"

if ((table)); then
  cat << END
# How many instructions a warp runs

Written by \`scripts/kernel-instructions.sh LIBRARY\` from the library ek_kernels_cuda for sm_90. A block's
region ends at its ticket, at which all blocks but the last are done; a tile is one round of the weight gradient's
loop. Counted are the instructions of the region, those of its loops as often as they run at most; what a
branch leaves out is counted, too. \`static\` are the kernel's instructions, merge and slow paths included, and
HMMA how many of those are products. Speed is not measured.

| kernel | region | rounds of its loops | instructions of a warp | static | HMMA |
| --- | --- | --- | --- | --- | --- |
END
fi

status=0
wrong() {
  echo "error: $*" >&2
  status=2
}
while IFS='|' read -r pattern region rounds most; do
  pattern="${pattern% }" region="${region// /}" rounds="${rounds// /}" most="${most// /}"
  [[ -z "$pattern" || "$pattern" == \#* ]] && continue
  [[ "$region" == block || "$region" == tile ]] || die "$hot: '$region' is no region: $pattern"
  found=0
  while read -r total products block tile name; do
    [[ "$name" =~ ^($pattern)$ ]] || continue
    found=1
    IFS=: read -ra loops <<< "${!region}"
    IFS=, read -ra times <<< "${rounds/#-/}"
    if ((${#times[@]} != ${#loops[@]} - 1)); then
      wrong "$name: $((${#loops[@]} - 1)) loops in its $region, $hot has rounds for ${#times[@]}"
      continue
    fi
    count="${loops[0]}"
    for i in "${!times[@]}"; do count=$((count + (times[i] - 1) * loops[i + 1])); done
    ((table)) && echo "| \`$name\` | $region | $rounds | $count | $total | $products |"
    ((100 * count <= 105 * most)) || wrong "$name: $count instructions in its $region, $hot has $most"
  done <<< "$kernels"
  ((found)) || wrong "$hot: no kernel is called $pattern"
done < "$hot"
exit $status
