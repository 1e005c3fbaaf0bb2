#include "kernels/augment.h"

#include <algorithm>
#include <climits>

#include "kernels/cuda/base/choice.cuh"
#include "kernels/cuda/optim/packs.cuh"
#include "kernels/math/augment_draw.h"

// One thread, one output value, is the teaching rung: it draws, looks up its source pixel and
// normalises, all for itself. The tuned kernel draws once for a strip of an image, keeps the 3 x
// 256 possible outputs in shared memory and stores 16 bytes a thread. Each output is one rounding
// of the same double, so both give the bits of the CPU.
namespace ek::kernels {
namespace EK_TARGET {
namespace {

constexpr int kThreads = 256;
constexpr std::int64_t kMostBlocks = 1 << 16;  // each then works on several pieces
constexpr int kStoresOfStrip = 8 * kThreads;   // a strip is what a block fills with 16-byte stores

// The row or column of the image, or -1 for black, behind place i of the crop at `offset`.
__device__ std::int64_t source(const AugmentSpec& spec, std::int64_t i, std::int64_t offset,
                               std::int64_t size) {
  return math::padded_source(i + offset, size, spec.reflect_pad, spec.zero_pad);
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    augment_plain(AugmentSpec spec, AugmentKey key, std::int64_t count, const std::uint8_t* images,
                  const std::int64_t* index, const std::int64_t* positions, T* out) {
  const std::int64_t width = spec.width, row = 3 * width, size = spec.height * row;
  const std::int64_t all_threads = std::int64_t(gridDim.x) * kThreads;
  for (std::int64_t i = std::int64_t(blockIdx.x) * kThreads + threadIdx.x; i < count * size;
       i += all_threads) {
    const math::AugmentDraw draw = math::augment_draw(spec, key, positions[i / size]);
    const std::int64_t y = i % size / row, x = i % row / 3, c = i % 3;
    const std::int64_t crop_x = draw.flip ? width - 1 - x : x;
    const std::int64_t from_y = source(spec, y, draw.offset_y, spec.height);
    const std::int64_t from_x = source(spec, crop_x, draw.offset_x, width);
    const bool black = from_y < 0 || from_x < 0;
    const std::uint8_t* image = images + index[i / size] * size;
    const int value = black ? 0 : image[from_y * row + from_x * 3 + c];
    out[i] = narrowed<T>(math::normalised_value(spec, int(c), std::uint32_t(value)));
  }
}

template <class T>
struct Values {
  SharedArray<T, 3 * 256> of;  // [channel][value of the pixel]
};

// A block takes strip after strip, a strip being `kStoresOfStrip` packs of one image or what is
// left of it. An image is a whole number of packs and has less than 2^31 values.
template <class T>
__global__ void __launch_bounds__(kThreads)
    augment_packed(AugmentSpec spec, AugmentKey key, std::int64_t count, const std::uint8_t* images,
                   const std::int64_t* index, const std::int64_t* positions, T* out) {
  constexpr int N = 16 / int(sizeof(T));
  Values<T>& values = shared_memory<Values<T>>();
  for (int i = int(threadIdx.x); i < 3 * 256; i += kThreads) {
    values.of[i] = narrowed<T>(math::normalised_value(spec, i / 256, std::uint32_t(i % 256)));
  }
  __syncthreads();
  const int width = int(spec.width), row = 3 * width, size = int(spec.height) * row;
  const int packs = size / N, strips = (packs + kStoresOfStrip - 1) / kStoresOfStrip;
  for (std::int64_t piece = blockIdx.x; piece < count * strips; piece += gridDim.x) {
    const std::int64_t i = piece / strips;
    const int first = int(piece % strips) * kStoresOfStrip;
    const int end = packs - first < kStoresOfStrip ? packs : first + kStoresOfStrip;
    const math::AugmentDraw draw = math::augment_draw(spec, key, positions[i]);
    const std::uint8_t* image = images + index[i] * size;
    for (int p = first + int(threadIdx.x); p < end; p += kThreads) {
      int y = p * N / row, x = p * N % row / 3, c = p * N % 3;
      const std::uint8_t* pixel = nullptr;  // null: black
      Pack<T, N> pack;
#pragma unroll
      for (int j = 0; j < N; ++j) {
        if (j == 0 || c == 0) {
          const int crop_x = draw.flip ? width - 1 - x : x;
          const std::int64_t from_y = source(spec, y, draw.offset_y, spec.height);
          const std::int64_t from_x = source(spec, crop_x, draw.offset_x, width);
          pixel = from_y < 0 || from_x < 0 ? nullptr : image + from_y * row + from_x * 3;
        }
        pack.values[j] = values.of[c * 256 + (pixel ? pixel[c] : 0)];
        if (++c == 3) {
          c = 0;
          if (++x == width) {
            x = 0;
            ++y;
          }
        }
      }
      store_vec(out + i * size + p * N, pack);
    }
  }
}

}  // namespace
}  // namespace EK_TARGET

// The packed kernel wants images that start and end at 16 bytes: 32 x 32 and 224 x 224 do, and all
// whose width or height divides by 4 (float), 8 (bf16) or 2 (double).
template <class B, class T>
void augment_images(Stream stream, const AugmentSpec& spec, const AugmentKey& key,
                    std::int64_t count, const std::uint8_t* images, const std::int64_t* index,
                    const std::int64_t* positions, T* out) {
  using namespace EK_TARGET;
  check_augment(spec, key);
  const std::int64_t size = spec.height * spec.width * 3, pack = 16 / std::int64_t(sizeof(T));
  if (count == 0) return;
  const bool packed =
      tuned("augment_images", "augment_images: expected images of whole 16 bytes for 'packed'",
            size % pack == 0 && size < INT_MAX && aligned_to_16(out));
  const std::int64_t strips = (size / pack + kStoresOfStrip - 1) / kStoresOfStrip;
  const std::int64_t pieces = packed ? count * strips : (count * size + kThreads - 1) / kThreads;
  const Launch shape{dim3(unsigned(std::min(pieces, kMostBlocks))), dim3(kThreads),
                     packed ? sizeof(Values<T>) : 0, stream};
  if (packed) {
    launch<&augment_packed<T>>(shape, spec, key, count, images, index, positions, out);
  } else {
    launch<&augment_plain<T>>(shape, spec, key, count, images, index, positions, out);
  }
}

using EK_TARGET::Backend;
template decltype(augment_images<Backend, float>) augment_images<Backend, float>;
template decltype(augment_images<Backend, double>) augment_images<Backend, double>;
template decltype(augment_images<Backend, bf16>) augment_images<Backend, bf16>;

}  // namespace ek::kernels
