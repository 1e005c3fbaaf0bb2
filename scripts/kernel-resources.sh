#!/usr/bin/env bash
# Usage: scripts/kernel-resources.sh [--check] [LIBRARY]
#
# What each CUDA kernel takes of a multiprocessor, as cuobjdump reads it from the library
# ek_kernels_cuda (build/release/kernels/cuda/libek_kernels_cuda.a unless another is named): a table
# in Markdown of registers, stack and local memory, and static shared memory. --check prints no
# table. A kernel of kernels/cuda/hot_kernels.txt that has stack or local memory is named, and so is
# a line of that file that no kernel fits; either exits with 2.
#
# cuobjdump (package cuda-cuobjdump-13-0) is looked for in EK_CUOBJDUMP, in PATH and beside nvcc;
# without it the exit status is 3.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

library=build/release/kernels/cuda/libek_kernels_cuda.a
hot=kernels/cuda/hot_kernels.txt
table=1
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --check) table=0 ;;
    -*) die "kernel-resources.sh: unknown argument '$1'" ;;
    *) library="$1" ;;
  esac
  shift
done
[[ -f "$library" ]] || die "kernel-resources.sh: $library is not there; ninja ek_kernels_cuda builds it"

cuobjdump="$(find_cuobjdump)"
if [[ -z "$cuobjdump" ]]; then
  echo "kernel-resources.sh: no cuobjdump, so registers and stacks of kernels are not known" >&2
  exit 3
fi

# One line per kernel: FILE ARCH REGISTERS STACK LOCAL SHARED NAME, the name as C++ has it.
facts() {
  "$cuobjdump" --dump-resource-usage "$library" | awk '
    BEGIN { file = "-" }
    /^member / { file = $2; sub(/\.o:$/, "", file); sub(/^.*:/, "", file) }
    /^arch = / { arch = $3 }
    $1 == "Function" { name = $2; sub(/:$/, "", name) }
    /REG:/ {
      for (i = 1; i <= NF; ++i) { split($i, pair, ":"); of[pair[1]] = pair[2] }
      print file, arch, of["REG"], of["STACK"], of["LOCAL"], of["SHARED"], name
    }' | c++filt
}

kernels="$(facts | readable_kernels 6 | LC_ALL=C sort -k1,1 -k7 -k2,2 | uniq)"
[[ -n "$kernels" ]] || die "kernel-resources.sh: $library holds no kernels"

if ((table)); then
  cat << END
# What each CUDA kernel takes

Written by \`scripts/kernel-resources.sh LIBRARY\` from the library ek_kernels_cuda. Registers are per
thread; stack and local memory in bytes per thread: spilt registers, or arrays that are indexed
at run time; static shared memory in bytes per block, of which the system keeps 1024 on sm_90 where
a kernel uses any, of either kind. Dynamic shared memory is chosen at the launch. Kernels that
\`kernels/cuda/hot_kernels.txt\` names may have neither stack nor local memory. Speed is not measured.

END
  echo "| file | kernel | arch | registers | stack | local | static shared |"
  echo "| --- | --- | --- | --- | --- | --- | --- |"
  awk '{
    name = $0
    for (i = 1; i <= 6; ++i) sub(/^[^ ]+ /, "", name)
    print "| " $1 " | `" name "` | " $2 " | " $3 " | " $4 " | " $5 " | " $6 " |"
  }' <<< "$kernels"
fi

status=0
while read -r pattern; do
  [[ -z "$pattern" || "$pattern" == \#* ]] && continue
  found=0
  while read -r file arch registers stack local shared name; do
    [[ "$name" =~ ^($pattern)$ ]] || continue
    found=1
    if ((stack > 0 || local > 0)); then
      echo "error: $file: $name ($arch): $stack bytes of stack, $local local; hot kernels have none" >&2
      status=2
    fi
  done <<< "$kernels"
  if ((!found)); then
    echo "error: $hot: no kernel is called $pattern" >&2
    status=2
  fi
done < "$hot"
exit $status
