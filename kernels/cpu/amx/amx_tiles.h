#pragma once
#include <cstdint>
#include <utility>

// The AMX instructions, by number of the tile register; x86-64 alone. Assembly rather than
// intrinsics: those take no template arguments, need per-function compiler options, and do not tell
// the compiler which memory they read.
namespace ek::kernels::cpu::amx {

// Every tile 16 rows of 64 bytes: 16 x 16 floats, or bf16 in 16 rows of 32.
struct alignas(64) TileShapes {
  std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
  std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// While it lives, the thread's tiles have these shapes.
class Tiles {
 public:
  Tiles() {
    const TileShapes shapes;
    asm volatile("ldtilecfg %0" ::"m"(shapes));
  }
  ~Tiles() { asm volatile("tilerelease" ::); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

template <int tile>
void zero() {
  asm volatile("tilezero %%tmm%c0" ::"i"(tile));
}
template <int tile>
void load(const void* from, std::int64_t pitch_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(pitch_bytes), "i"(tile) : "memory");
}
template <int tile>
void store(void* to, std::int64_t pitch_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(pitch_bytes), "i"(tile) : "memory");
}
// sum[m][n] += left[m][2 k] right[k][2 n] + left[m][2 k + 1] right[k][2 n + 1], over k = 0 .. 15
template <int sum, int left, int right>
void multiply_add() {
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(left), "i"(right));
}

}  // namespace ek::kernels::cpu::amx
