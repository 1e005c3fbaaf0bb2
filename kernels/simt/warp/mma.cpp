#include "kernels/simt/warp/mma.h"

#include <bit>

#include "kernels/simt/executor.h"

// mma.sync m16n8k8 tf32 and m16n8k16 bf16, row-major A times column-major B (PTX ISA, "Matrix
// fragments for mma"). Lane 4g + t holds, of C (16 x 8): c0, c1 at (g, 2t), (g, 2t+1); c2, c3 eight
// rows below.
namespace ek::simt {

namespace {

struct Argument {
  float* c;
  const std::uint32_t *a, *b;
};

// The hardware reads the upper 19 bits of a tf32 register.
double tf32_value(std::uint32_t bits) {
  return double(std::bit_cast<float>(bits & ~0x1FFFu));
}

double bf16_value(std::uint32_t bits) {
  return double(std::bit_cast<float>(bits << 16));
}

void multiply(Warp& warp, int k_count, const double (*a)[16], const double (*b)[8]) {
  float c[16][8];
  const auto at = [&](int i, int r) -> float& { return c[i / 4 + 8 * (r / 2)][i % 4 * 2 + r % 2]; };
  for (int i = 0; i < 32; ++i) {
    for (int r = 0; r < 4; ++r) at(i, r) = warp.argument<Argument>(i).c[r];
  }
  for (int row = 0; row < 16; ++row) mma_row(current->used.mma, k_count, a[row], b, c[row]);
  for (int i = 0; i < 32; ++i) {
    for (int r = 0; r < 4; ++r) warp.argument<Argument>(i).c[r] = at(i, r);
  }
}

// A (16 x 8): a0 (g, t), a1 (g+8, t), a2 (g, t+4), a3 (g+8, t+4). B (8 x 8): b0 (t, g), b1 (t+4,
// g).
void multiply_tf32(Warp& warp, std::uint32_t) {
  double a[16][16], b[16][8];
  for (int i = 0; i < 32; ++i) {
    const Argument& lane = warp.argument<Argument>(i);
    const int g = i / 4, t = i % 4;
    for (int r = 0; r < 4; ++r) a[g + 8 * (r % 2)][t + 4 * (r / 2)] = tf32_value(lane.a[r]);
    for (int r = 0; r < 2; ++r) b[t + 4 * r][g] = tf32_value(lane.b[r]);
  }
  multiply(warp, 8, a, b);
}

// A (16 x 16): register i holds row g + 8 (i % 2), columns 2t + 8 (i / 2) and the next one. B (16 x
// 8): register i holds rows 2t + 8i and the next one of column g. The lower half is the first.
void multiply_bf16(Warp& warp, std::uint32_t) {
  double a[16][16], b[16][8];
  for (int i = 0; i < 32; ++i) {
    const Argument& lane = warp.argument<Argument>(i);
    const int g = i / 4, t = i % 4;
    for (int r = 0; r < 4; ++r) {
      double* pair = &a[g + 8 * (r % 2)][2 * t + 8 * (r / 2)];
      pair[0] = bf16_value(lane.a[r] & 0xFFFF);
      pair[1] = bf16_value(lane.a[r] >> 16);
    }
    for (int r = 0; r < 2; ++r) {
      b[2 * t + 8 * r][g] = bf16_value(lane.b[r] & 0xFFFF);
      b[2 * t + 8 * r + 1][g] = bf16_value(lane.b[r] >> 16);
    }
  }
  multiply(warp, 16, a, b);
}

}  // namespace

void mma_tf32(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  const InRuntime guard;
  Argument argument{c, a, b};
  warp_collective("mma_tf32", 0xFFFFFFFF, multiply_tf32, &argument, site);
}

void mma_bf16(float* c, const std::uint32_t* a, const std::uint32_t* b, Site site) {
  const InRuntime guard;
  Argument argument{c, a, b};
  warp_collective("mma_bf16", 0xFFFFFFFF, multiply_bf16, &argument, site);
}

}  // namespace ek::simt
