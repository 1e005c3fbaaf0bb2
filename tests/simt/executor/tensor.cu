#include "tests/simt/executor/tensor.h"

#include "kernels/cuda/base/primitives.cuh"
#include "kernels/simt/check/guarded.h"

namespace ek::kernels::EK_TARGET {
namespace {

__device__ void load_c(const float* c, float (&r)[4]) {
  const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  for (int i = 0; i < 4; ++i) r[i] = c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2];
}
__device__ void store_c(const float (&r)[4], float* c) {
  const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  for (int i = 0; i < 4; ++i) c[(g + 8 * (i / 2)) * 8 + 2 * t + i % 2] = r[i];
}

__global__ void tf32_once(const float* a, const float* b, const float* c, bool round, float* d) {
  const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  const auto bits = [&](float x) { return round ? to_tf32(x) : std::bit_cast<std::uint32_t>(x); };
  float sum[4];
  load_c(c, sum);
  const std::uint32_t fa[4] = {bits(a[g * 8 + t]), bits(a[(g + 8) * 8 + t]), bits(a[g * 8 + t + 4]),
                               bits(a[(g + 8) * 8 + t + 4])};
  const std::uint32_t fb[2] = {bits(b[t * 8 + g]), bits(b[(t + 4) * 8 + g])};
  mma_tf32(sum, fa, fb);
  store_c(sum, d);
}

__global__ void bf16_gathered(const float* a, const float* b, const float* c, float* d) {
  const int g = int(threadIdx.x) / 4, t = int(threadIdx.x) % 4;
  const auto of_a = [&](int row, int k) { return to_bf16x2(a[row * 16 + k], a[row * 16 + k + 1]); };
  const auto of_b = [&](int k) { return to_bf16x2(b[k * 8 + g], b[(k + 1) * 8 + g]); };
  float sum[4];
  load_c(c, sum);
  const std::uint32_t fa[4] = {of_a(g, 2 * t), of_a(g + 8, 2 * t), of_a(g, 2 * t + 8),
                               of_a(g + 8, 2 * t + 8)};
  const std::uint32_t fb[2] = {of_b(2 * t), of_b(2 * t + 8)};
  mma_bf16(sum, fa, fb);
  store_c(sum, d);
}

struct Tiles {
  alignas(16) bf16 a[16][16];
  alignas(16) bf16 b[16][8];
};

__global__ void bf16_ldmatrix(const float* a, const float* b, const float* c, float* d) {
  Tiles& tile = shared_memory<Tiles>();
  const int lane = int(threadIdx.x);
  for (int i = lane; i < 256; i += 32) tile.a[i / 16][i % 16] = to_bf16(a[i]);
  for (int i = lane; i < 128; i += 32) tile.b[i / 8][i % 8] = to_bf16(b[i]);
  __syncwarp();
  std::uint32_t fa[4], fb[2];
  ldmatrix(fa, &tile.a[lane % 16][lane / 16 * 8]);
  ldmatrix_trans(fb, &tile.b[lane % 16][0]);
  float sum[4];
  load_c(c, sum);
  mma_bf16(sum, fa, fb);
  store_c(sum, d);
}

constexpr int kM = 64, kN = 48, kK = 32;

struct GemmTiles {
  float a[kM][8 + 4];
  float b[8][kN + 4];
};

__global__ void __launch_bounds__(128) gemm(const float* a, const float* b, float* c) {
  GemmTiles& s = shared_memory<GemmTiles>();
  const int thread = int(threadIdx.x), warp = thread / 32, g = thread % 32 / 4, t = thread % 4;
  float sum[kN / 8][4] = {};
  for (int k = 0; k < kK; k += 8) {
    for (int i = thread; i < kM * 2; i += 128) {
      cp_async_16(&s.a[i / 2][i % 2 * 4], a + i / 2 * kK + k + i % 2 * 4);
    }
    for (int i = thread; i < 8 * kN / 4; i += 128) {
      cp_async_16(&s.b[i / (kN / 4)][i % (kN / 4) * 4], b + k * kN + i * 4);
    }
    cp_async_commit();
    cp_async_wait<0>();
    __syncthreads();
    std::uint32_t fa[4];
    for (int i = 0; i < 4; ++i) {
      fa[i] = to_tf32(s.a[warp * 16 + g + 8 * (i % 2)][t + 4 * (i / 2)]);
    }
    for (int n = 0; n < kN / 8; ++n) {
      const std::uint32_t fb[2] = {to_tf32(s.b[t][8 * n + g]), to_tf32(s.b[t + 4][8 * n + g])};
      mma_tf32(sum[n], fa, fb);
    }
    __syncthreads();
  }
  for (int n = 0; n < kN / 8; ++n) {
    for (int i = 0; i < 4; ++i) {
      c[(warp * 16 + g + 8 * (i / 2)) * kN + 8 * n + 2 * t + i % 2] = sum[n][i];
    }
  }
}

template <auto Kernel>
std::vector<float> on_warp(const std::vector<float>& a, const std::vector<float>& b,
                           const std::vector<float>& c) {
  const simt::Guarded<float> in_a(a, "a"), in_b(b, "b"), in_c(c, "c");
  simt::Guarded<float> d(c.size(), "d");
  launch<Kernel>({1, 32, sizeof(Tiles)}, in_a.data(), in_b.data(), in_c.data(), d.data());
  return d.values();
}

}  // namespace
}  // namespace ek::kernels::EK_TARGET

namespace ek::simt::test {

using namespace kernels::EK_TARGET;

Matrix mma_tf32_once(const Matrix& a, const Matrix& b, const Matrix& c, bool round) {
  const Guarded<float> in_a(a, "a"), in_b(b, "b"), in_c(c, "c");
  Guarded<float> d(c.size(), "d");
  launch<&tf32_once>({1, 32}, in_a.data(), in_b.data(), in_c.data(), round, d.data());
  return d.values();
}

Matrix mma_bf16_gathered(const Matrix& a, const Matrix& b, const Matrix& c) {
  return on_warp<&bf16_gathered>(a, b, c);
}

Matrix mma_bf16_ldmatrix(const Matrix& a, const Matrix& b, const Matrix& c) {
  return on_warp<&bf16_ldmatrix>(a, b, c);
}

Matrix gemm_tf32(const Matrix& a, const Matrix& b) {
  const Guarded<float> in_a(a, "a"), in_b(b, "b");
  Guarded<float> c(kM * kN, "c");
  launch<&gemm>({1, 128, sizeof(GemmTiles)}, in_a.data(), in_b.data(), c.data());
  return c.values();
}

}  // namespace ek::simt::test
