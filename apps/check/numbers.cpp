#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/check/case.h"
#include "engine/tensor/random.h"

namespace ek::check_numbers {
namespace {

// Large tensors, which are for timings alone, repeat their first numbers: drawing takes its time.
constexpr std::size_t block = 1 << 16;

template <class Draw>
Tensor drawn(const Shape& shape, Draw&& draw) {
  std::vector<double> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = i < block ? draw(i) : values[i - block];
  }
  return Tensor::from(values, shape);
}

}  // namespace

Tensor normal(const Shape& shape, std::uint64_t seed, double scale, double shift) {
  const RandomStream random(seed, Purpose::test);
  return drawn(shape, [&](std::size_t i) { return scale * random.normal(i) + shift; });
}

Tensor away_from_zero(const Shape& shape, std::uint64_t seed, double gap) {
  const RandomStream random(seed, Purpose::test);
  return drawn(shape, [&](std::size_t i) {
    const double value = random.normal(i);
    return value + std::copysign(gap, value);
  });
}

Tensor positive(const Shape& shape, std::uint64_t seed) {
  const RandomStream random(seed, Purpose::test);
  return drawn(shape, [&](std::size_t i) { return 0.5 + random.uniform(i); });
}

Tensor distinct(const Shape& shape, std::uint64_t seed) {
  const RandomStream random(seed, Purpose::test);
  std::vector<double> ladder(std::min(block, std::size_t(shape.numel())));
  std::iota(ladder.begin(), ladder.end(), -double(ladder.size() / 2));
  for (std::size_t i = ladder.size(); i > 1; --i) {
    std::swap(ladder[i - 1], ladder[std::size_t(random.below(i, i))]);
  }
  return drawn(shape, [&](std::size_t i) { return ladder[i] / 16; });
}

Tensor two_sided(const Shape& shape, std::uint64_t seed) {
  const RandomStream random(seed, Purpose::test);
  const std::size_t channels = std::size_t(shape.back());
  return drawn(shape, [&](std::size_t i) {
    const double side = (i / channels + i % channels) % 2 == 0 ? 1 : -1;
    return side + 0.3 * (random.uniform(i) - 0.5);
  });
}

Tensor indices(std::int64_t count, std::int64_t bound, std::uint64_t seed) {
  const RandomStream random(seed, Purpose::test);
  std::vector<std::int64_t> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(std::int64_t(random.below(std::uint64_t(i), std::uint64_t(bound))));
  }
  return Tensor::from(values, {count});
}

}  // namespace ek::check_numbers
