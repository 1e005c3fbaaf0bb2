#!/usr/bin/env bash
# Usage: scripts/gpu-build.sh [--out DIR] [--jobs N] [-- CMAKE_ARGUMENT...]
#
# Builds what scripts/gpu-check.sh needs on a machine with a GPU, no compiler and no network, and
# gathers it in DIR (build/gpu): ek-op, ek-check, ek-bench, and the libraries beside them that
# such a machine may lack. Machine code for sm_90 alone, and for any x86-64 CPU with AVX2.
#
# Where cuBLAS or cuDNN are found, ek-bench-vendor is ek-bench with both beside our kernels. They
# are too large to carry (over 64 MiB), so it finds those of the machine, as PyTorch brings them; the
# other programs do without. Nothing here needs a GPU or a driver.
#
# Prints the sizes; exits with 2 where they come to more than 64 MiB. Arguments after -- go to the
# configuration. Build trees: build/gpu-programs, build/gpu-vendor.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out=build/gpu
jobs="$(nproc)"
limit_kib=$((64 * 1024))
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --out) out="${2:?gpu-build.sh: --out needs a folder}"; shift ;;
    --jobs) jobs="${2:?gpu-build.sh: --jobs needs a number}"; shift ;;
    --) shift; break ;;
    *) die "gpu-build.sh: unknown argument '$1'" ;;
  esac
  shift
done

# Static: the CUDA runtime, which CMake links so anyway, and OpenMP's. oneDNN and the host executor
# stay out: the reference of all checks is the CPU in float64, which uses neither. The programs look
# for libraries in their own folder first.
gomp="$(g++ -print-file-name=libgomp.a)"
[[ -f "$gomp" ]] || die "gpu-build.sh: no libgomp.a beside g++"
configure() {
  cmake -S . -B "$1" -G Ninja -D CMAKE_BUILD_TYPE=Release -D EK_BUILD_TESTS=OFF \
    -D EK_CUDA=ON -D EK_CUDA_ARCHITECTURES=90-real -D EK_ARCH=x86-64-v3 \
    -D EK_SIMT_DEVICE=OFF -D EK_WITH_ONEDNN=OFF -D "OpenMP_gomp_LIBRARY=$gomp" \
    -D CMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN" \
    -D CMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed "${@:2}"
}
configure build/gpu-programs -D EK_WITH_CUBLAS=OFF -D EK_WITH_CUDNN=OFF "$@" >&2
ninja -C build/gpu-programs -j "$jobs" ek-op ek-check ek-bench >&2

rm -rf "$out"
mkdir -p "$out"
for program in ek-op ek-check ek-bench; do
  strip -o "$out/$program" "build/gpu-programs/bin/$program"
done
configure build/gpu-vendor "$@" >&2
if ninja -C build/gpu-vendor -t query ek_cuda_cublas > /dev/null 2>&1 ||
  ninja -C build/gpu-vendor -t query ek_cuda_cudnn > /dev/null 2>&1; then
  ninja -C build/gpu-vendor -j "$jobs" ek-bench >&2
  strip -o "$out/ek-bench-vendor" build/gpu-vendor/bin/ek-bench
else
  echo "note: neither cuBLAS nor cuDNN is here, so there is no ek-bench-vendor" >&2
fi

# What every Linux has, and what comes with CUDA or PyTorch, stays where it is.
for program in "$out"/ek-*; do
  ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r library; do
  case "$(basename "$library")" in
    libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | ld-linux*) ;;
    libcu* | libnv*) ;;
    *) cp -L "$library" "$out/" ;;
  esac
done

(cd "$out" && du -k --apparent-size -- * | sort -n)
total="$(du -sk --apparent-size "$out" | cut -f 1)"
echo "$total KiB in $out"
((total <= limit_kib)) || die "gpu-build.sh: more than $limit_kib KiB, which is too much to carry"
