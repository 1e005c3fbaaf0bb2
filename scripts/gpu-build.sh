#!/usr/bin/env bash
# Usage: scripts/gpu-build.sh [--out DIR] [--jobs N] [--data CIFAR100] [-- CMAKE_ARGUMENT...]
#
# Builds what scripts/gpu-check.sh needs on a machine with a GPU, no compiler and no network, and
# packs it into DIR (build/gpu): programs.tar.xz has ek-op, ek-check, ek-bench, ek-train, ek-eval,
# ek-bench-step, test-cuda, and the libraries beside them that such a machine may lack. Machine
# code for sm_90 alone, and for any x86-64 CPU with AVX2.
#
#   --data CIFAR100   also data.tar.xz for the part `train`: of a CIFAR-100 folder in the binary
#                     layout, the training images of CIFAR-100-LT at imbalance 100 with its meta set
#                     (ten of each class, the last ones of train.bin) and as many test images as fit
#   --jobs N          compile N files at a time
#
# Where cuBLAS or cuDNN are found, ek-bench-vendor is ek-bench with both beside our kernels. They
# are too large to carry (over 64 MiB), so it finds those of the machine, as PyTorch brings them; the
# other programs do without. Nothing here needs a GPU or a driver.
#
# Prints the sizes; exits with 2 where they and the tracked files come to more than 63 MiB. Arguments
# after -- go to the configuration. Build trees: build/gpu-programs, build/gpu-vendor.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

out=build/gpu
jobs="$(nproc)"
data=""
# Bytes of what travels: 64 MiB, less the tree beside it and 1 MiB for what is not committed yet.
tracked="$(git ls-files -z | xargs -0 -r stat -c %s 2> /dev/null | awk '{ n += $1 } END { print n + 0 }')" || true
limit=$((63 * 1024 * 1024 - tracked))
while (($#)); do
  case "$1" in
    -h | --help) print_help "${BASH_SOURCE[0]}"; exit 0 ;;
    --out) out="${2:?gpu-build.sh: --out needs a folder}"; shift ;;
    --jobs) jobs="${2:?gpu-build.sh: --jobs needs a number}"; shift ;;
    --data) data="${2:?gpu-build.sh: --data needs a folder}"; shift ;;
    --) shift; break ;;
    *) die "gpu-build.sh: unknown argument '$1'" ;;
  esac
  shift
done
[[ -z "$data" || -f "$data/train.bin" && -f "$data/test.bin" ]] ||
  die "gpu-build.sh: --data $data: expected train.bin and test.bin of CIFAR-100's binary layout"

# Static: the CUDA runtime, which CMake links so anyway, and OpenMP's. oneDNN and the host executor
# stay out: the reference of all checks is the CPU in float64, which uses neither. The programs look
# for libraries in their own folder first.
gomp="$(g++ -print-file-name=libgomp.a)"
[[ -f "$gomp" ]] || die "gpu-build.sh: no libgomp.a beside g++"
configure() {
  cmake -S . -B "$1" -G Ninja -D CMAKE_BUILD_TYPE=Release \
    -D EK_CUDA=ON -D EK_CUDA_ARCHITECTURES=90-real -D EK_ARCH=x86-64-v3 \
    -D EK_SIMT_DEVICE=OFF -D EK_WITH_ONEDNN=OFF -D "OpenMP_gomp_LIBRARY=$gomp" \
    -D CMAKE_BUILD_WITH_INSTALL_RPATH=ON "-DCMAKE_INSTALL_RPATH=\$ORIGIN" \
    -D CMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed "${@:2}"
}
programs=(ek-op ek-check ek-bench ek-train ek-eval ek-bench-step test-cuda)
configure build/gpu-programs -D EK_BUILD_TESTS=ON -D EK_WITH_CUBLAS=OFF -D EK_WITH_CUDNN=OFF \
  "$@" >&2
ninja -C build/gpu-programs -j "$jobs" "${programs[@]}" ${data:+ek-data} >&2

work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
mkdir "$work/programs"
for program in "${programs[@]}"; do
  strip -o "$work/programs/$program" "build/gpu-programs/bin/$program"
done
configure build/gpu-vendor -D EK_BUILD_TESTS=OFF "$@" >&2
if ninja -C build/gpu-vendor -t query ek_cuda_cublas > /dev/null 2>&1 ||
  ninja -C build/gpu-vendor -t query ek_cuda_cudnn > /dev/null 2>&1; then
  ninja -C build/gpu-vendor -j "$jobs" ek-bench >&2
  strip -o "$work/programs/ek-bench-vendor" build/gpu-vendor/bin/ek-bench
else
  echo "note: neither cuBLAS nor cuDNN is here, so there is no ek-bench-vendor" >&2
fi

# What every Linux has, and what comes with CUDA or PyTorch, stays where it is.
for program in "$work"/programs/*; do
  ldd "$program" | awk '$2 == "=>" && $3 ~ /^\// { print $3 }'
done | sort -u | while read -r library; do
  case "$(basename "$library")" in
    libc.so* | libm.so* | libdl.so* | libpthread.so* | librt.so* | ld-linux*) ;;
    libcu* | libnv*) ;;
    *) cp -L "$library" "$work/programs/" ;;
  esac
done
(cd "$work/programs" && du -k --apparent-size -- * | sort -n)

# pack FOLDER FILE: the same bytes for the same files. The programs hold the same kernels, which a
# window of 64 MiB (-9) sees.
pack() {
  tar -C "$(dirname "$1")" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
    -cf - "$(basename "$1")" | xz "-${3:-9}" > "$2"
}
rm -rf "$out"
mkdir -p "$out"
pack "$work/programs" "$out/programs.tar.xz"
size() { stat -c %s "$@" | awk '{ sum += $1 } END { print sum }'; }

if [[ -n "$data" ]]; then
  record=3074  # bytes of an image with its two labels
  build/gpu-programs/bin/ek-data make-lt --data "$data" --imbalance 100 --meta-per-class 10 \
    --out "$work/data"
  # A run takes the last ten images of each class as its meta set (data.subset=first).
  cat "$work/data/meta.bin" >> "$work/data/train.bin"
  rm "$work/data/meta.bin"
  pack "$work/data" "$out/data.tar.xz" 6
  over=$(($(size "$out"/*) - limit))
  if ((over > 0)); then
    # Pixels do not pack well: each test image costs about as much as any other, and 2% to spare.
    each=$(($(size "$out/data.tar.xz") * record / $(size "$work"/data/*.bin)))
    images=$(($(size "$work/data/test.bin") / record - over * 102 / 100 / each))
    ((images > 0)) || die "gpu-build.sh: the training images alone are too much to carry"
    truncate -s $((images * record)) "$work/data/test.bin"
    pack "$work/data" "$out/data.tar.xz" 6
  fi
  echo "$(($(size "$work/data/train.bin") / record)) training and meta images," \
    "$(($(size "$work/data/test.bin") / record)) test images"
fi

(cd "$out" && du -k --apparent-size -- *)
total="$(size "$out"/*)"
echo "$((total / 1024)) KiB in $out"
((total <= limit)) || die "gpu-build.sh: more than $((limit / 1024)) KiB, too much to carry"
