#include "benchmarks/machine/roof.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <functional>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "kernels/cpu/conv/onednn_rate.h"
#include "kernels/gemm.h"

namespace ek::bench {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t mib = 1 << 20;

constexpr std::array<double Roof::*, 5> parts{&Roof::copy_gb_s, &Roof::copy_8mib_gb_s,
                                              &Roof::float32_gflop_s, &Roof::bf16_gflop_s,
                                              &Roof::tf32_gflop_s};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr std::size_t piece = 1 << 16;  // what a thread copies at a time

void copy_piece(const std::byte* from, std::byte* to, bool streaming) {
#ifdef __SSE2__
  if (streaming) {
    const auto* source = reinterpret_cast<const __m128i*>(from);
    auto* target = reinterpret_cast<__m128i*>(to);
    for (std::size_t i = 0; i < piece / sizeof(__m128i); i += 4) {  // one cache line
      const __m128i a = _mm_load_si128(source + i), b = _mm_load_si128(source + i + 1),
                    c = _mm_load_si128(source + i + 2), d = _mm_load_si128(source + i + 3);
      _mm_stream_si128(target + i, a);
      _mm_stream_si128(target + i + 1, b);
      _mm_stream_si128(target + i + 2, c);
      _mm_stream_si128(target + i + 3, d);
    }
    return;
  }
#endif
  std::memcpy(to, from, piece);
  static_cast<void>(streaming);
}

void copy_pieces(const std::byte* from, std::byte* to, std::size_t count, bool streaming) {
#pragma omp parallel for schedule(static)
  for (std::size_t i = 0; i < count; ++i) {
    copy_piece(from + i * piece, to + i * piece, streaming);
  }
#ifdef __SSE2__
  _mm_sfence();
#endif
}

// GB/s, read and written, of the first half of `bytes` copied to the second, in stretches of at
// most 8 MiB.
double copy_rate(std::byte* data, std::size_t bytes, double seconds) {
  const std::size_t half = bytes / 2 / piece * piece, stretch = std::min(half, 8 * mib);
  double best = 0;
  for (const bool streaming : {false, true}) {
    const auto start = Clock::now();
    do {
      for (std::size_t begin = 0; begin + stretch <= half; begin += stretch) {
        const auto now = Clock::now();
        copy_pieces(data + begin, data + half + begin, stretch / piece, streaming);
        best = std::max(best, 2 * double(stretch) / seconds_since(now) / 1e9);
      }
    } while (seconds_since(start) < seconds / 2);
  }
  return best;
}

double best_rate(const std::function<void()>& call, double flop, double seconds) {
  if (!call) return 0;
  call();
  double best = 0;
  const auto start = Clock::now();
  do {
    const auto now = Clock::now();
    call();
    best = std::max(best, flop / seconds_since(now) / 1e9);
  } while (seconds_since(start) < seconds);
  return best;
}

double product_rate(float* memory, std::size_t bytes, bool bf16, double seconds) {
  double best = 0;
  for (const std::int64_t n : {512, 1024, 2048}) {
    const kernels::GemmShape shape{n, n, n};
    std::function<void()> call = kernels::onednn_matmul_call(shape, bf16);
    if (!call && !bf16 && 3 * std::size_t(n * n) * sizeof(float) <= bytes) {
      const float *a = memory, *b = memory + n * n;
      float* c = memory + 2 * n * n;
      call = [=] { kernels::gemm<kernels::Cpu, float>({}, shape, a, b, c); };
    }
    const double flop = 2.0 * double(n) * double(n) * double(n);
    best = std::max(best, best_rate(call, flop, seconds / 3));
  }
  return best;
}

}  // namespace

void Roof::raise(const Roof& other) {
  for (double Roof::*part : parts) this->*part = std::max(this->*part, other.*part);
}

bool Roof::is_well_above(const Roof& other) const {
  return std::ranges::any_of(parts, [&](auto part) { return this->*part > 1.05 * other.*part; });
}

Roof measure_cpu_roof(void* memory, std::size_t bytes, double seconds) {
  std::byte* data = static_cast<std::byte*>(memory);
  float* numbers = static_cast<float*>(memory);
  Roof roof;
  roof.copy_gb_s = copy_rate(data, bytes, seconds);
  roof.copy_8mib_gb_s = copy_rate(data, std::min(bytes, 8 * mib), seconds);
  roof.float32_gflop_s = product_rate(numbers, bytes, false, seconds);
  roof.bf16_gflop_s = std::max(product_rate(numbers, bytes, true, seconds), roof.float32_gflop_s);
  return roof;
}

std::size_t default_footprint_bytes() {
  const long cache = ::sysconf(_SC_LEVEL3_CACHE_SIZE);
  const std::size_t wanted =
      std::clamp<std::size_t>(2 * std::size_t(std::max(cache, 0L)), 256 * mib, 1024 * mib);
  const std::size_t memory = std::size_t(std::max(::sysconf(_SC_PHYS_PAGES), 0L)) *
                             std::size_t(std::max(::sysconf(_SC_PAGESIZE), 0L));
  return memory == 0 ? wanted : std::min(wanted, memory / 4 / mib * mib);
}

}  // namespace ek::bench
