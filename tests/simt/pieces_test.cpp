#include "kernels/pieces.h"

#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::simt::Guarded;
using ek::simt::Options;
using ek::simt::ScopedOptions;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

constexpr std::size_t kCount = 9000;

// More pieces than go into one launch, some empty, one of several blocks, with gaps between them;
// everything else of the flat buffer keeps its bits.
template <class T>
std::vector<Piece<T>> pieces_of(const T* from) {
  std::vector<Piece<T>> pieces{{from, 3, 2500, 0.1}};
  for (std::int64_t i = 0; i < 200; ++i) {
    pieces.push_back({from + i, 2600 + 30 * i, i % 29, 1.0 / double(i + 1)});
  }
  return pieces;
}

template <class T>
void check() {
  Input<T> from(random_numbers<T>(3000, 1), "from"), x(random_numbers<T>(kCount, 2), "x");
  const auto pieces = pieces_of(from.data());
  const auto zeros_then = [&](T* y, const auto& run) {
    std::fill(y, y + kCount, T(0));
    run(y);
  };
  const auto same = [&](const auto& on_simt, const auto& on_cpu) {
    const auto ours =
        in_all_orders<T>(kCount, 0, [&](T* y) { zeros_then(y, [&](T* to) { on_simt(to); }); });
    std::vector<T> expected(kCount);
    on_cpu(expected.data());
    REQUIRE(same_bits(ours, expected));
  };
  same([&](T* y) { gather_pieces<Simt, T>({}, pieces, y); },
       [&](T* y) { gather_pieces<Cpu, T>({}, pieces, y); });
  same([&](T* y) { blend_pieces<Simt, T>({}, pieces, 0.9, x.data(), y); },
       [&](T* y) { blend_pieces<Cpu, T>({}, pieces, 0.9, x.data(), y); });
  // In place.
  std::vector<T> expected = x.values();
  blend_pieces<Cpu, T>({}, pieces, 0.9, expected.data(), expected.data());
  for (const Options& options : some_orders()) {
    const ScopedOptions scope(options);
    Guarded<T> y(x.values(), "y");
    blend_pieces<Simt, T>({}, pieces, 0.9, y.data(), y.data());
    REQUIRE(same_bits(y.values(), expected));
  }
}

}  // namespace

TEST_CASE("pieces of a flat buffer on the host executor", "[pieces]") {
  check<float>();
  check<double>();
}

TEST_CASE("no pieces, no launch", "[pieces]") {
  REQUIRE_NOTHROW(gather_pieces<Simt, float>({}, {}, nullptr));
  REQUIRE_NOTHROW(blend_pieces<Simt, float>({}, {}, 1, nullptr, nullptr));
}
