#include "kernels/augment.h"

#include <array>
#include <map>
#include <numeric>

#include "kernels/base/error.h"
#include "kernels/math/augment_draw.h"
#include "tests/catch.h"
#include "tests/kernels/numbers.h"

using namespace ek::kernels;
using namespace ek::test;
using ek::math::augment_draw;

namespace {

constexpr std::int64_t kHeight = 8, kWidth = 6, kImages = 5, kSize = kHeight * kWidth * 3;

AugmentSpec spec_with(std::int64_t reflect_pad, std::int64_t zero_pad, bool flip) {
  return {kHeight, kWidth, reflect_pad, zero_pad, flip, {0.5, 0.4, 0.25}, {0.25, 0.2, 0.1}};
}

std::vector<std::uint8_t> images() {
  std::vector<std::uint8_t> pixels(kImages * kSize);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = std::uint8_t(1 + i * 37 % 255);
  return pixels;
}

template <class T>
T normalised(const AugmentSpec& spec, std::int64_t channel, int value) {
  return nearest<T>((value / 255.0 - spec.mean[channel]) / spec.std[channel]);
}

std::vector<std::int64_t> counting(std::int64_t count, std::int64_t first = 0) {
  std::vector<std::int64_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), first);
  return numbers;
}

// Reflect, pad, crop and mirror with explicit intermediate images, one channel value at a time.
int expected_value(const AugmentSpec& s, const ek::math::AugmentDraw& draw,
                   const std::uint8_t* image, std::int64_t y, std::int64_t x, std::int64_t c) {
  if (draw.flip) x = s.width - 1 - x;
  y += draw.offset_y - s.zero_pad;
  x += draw.offset_x - s.zero_pad;
  if (y < 0 || x < 0 || y >= s.height + 2 * s.reflect_pad || x >= s.width + 2 * s.reflect_pad) {
    return 0;
  }
  y = std::abs(y - s.reflect_pad);
  x = std::abs(x - s.reflect_pad);
  if (y >= s.height) y = s.height - 2 - (y - s.height);
  if (x >= s.width) x = s.width - 2 - (x - s.width);
  return image[(y * s.width + x) * 3 + c];
}

}  // namespace

TEMPLATE_TEST_CASE("without padding and flip it is the evaluation transform", "", float, double,
                   ek::bf16) {
  using T = TestType;
  const AugmentSpec spec = spec_with(0, 0, false);
  const auto pixels = images();
  const std::vector<std::int64_t> index{3, 0, 3}, positions{7, 8, 9};
  std::vector<T> out(3 * kSize);
  augment_images<Cpu, T>({}, spec, {42, 1, 2, 3}, 3, pixels.data(), index.data(), positions.data(),
                         out.data());
  for (std::int64_t i = 0; i < 3 * kSize; ++i) {
    const int value = pixels[index[i / kSize] * kSize + i % kSize];
    REQUIRE(number(out[i]) == number(normalised<T>(spec, i % 3, value)));
  }
}

TEMPLATE_TEST_CASE("padding, crop and flip against an explicit reference", "", float, double,
                   ek::bf16) {
  using T = TestType;
  const auto pixels = images();
  const std::int64_t count = 300;
  std::vector<std::int64_t> index(count);
  for (std::int64_t i = 0; i < count; ++i) index[i] = i % kImages;
  const auto positions = counting(count);
  const AugmentKey key{9, 1, 4, 0};
  for (const AugmentSpec& spec :
       {spec_with(0, 2, true), spec_with(3, 0, true), spec_with(4, 4, true), spec_with(0, 3, false),
        spec_with(2, kWidth + 3, true)}) {
    std::vector<T> out(count * kSize);
    augment_images<Cpu, T>({}, spec, key, count, pixels.data(), index.data(), positions.data(),
                           out.data());
    int black = 0;
    for (std::int64_t j = 0; j < count * kSize; ++j) {
      const std::int64_t i = j / kSize, y = j % kSize / (kWidth * 3), x = j / 3 % kWidth;
      const int value = expected_value(spec, augment_draw(spec, key, i),
                                       pixels.data() + index[i] * kSize, y, x, j % 3);
      REQUIRE(number(out[j]) == number(normalised<T>(spec, j % 3, value)));
      black += value == 0;
    }
    REQUIRE((black > 0) == (spec.zero_pad > 0));  // no pixel of the test images is black
  }
}

TEST_CASE("reflection leaves the border pixel out, zero padding lies outside it") {
  using ek::math::padded_source;
  std::vector<std::int64_t> sources;
  for (std::int64_t i = 0; i < 5 + 2 * 3; ++i) sources.push_back(padded_source(i, 5, 2, 1));
  REQUIRE(sources == std::vector<std::int64_t>{-1, 2, 1, 0, 1, 2, 3, 4, 3, 2, -1});
}

TEST_CASE("offsets are uniform over the whole range, both bounds included; flips are even") {
  AugmentSpec spec{32, 32, 4, 4, true};
  const int draws = 34000, choices = 17;  // 0..16 for reflect 4 and zero 4
  std::map<std::int64_t, int> y, x;
  int flips = 0, flips_with_low_y = 0;
  for (int i = 0; i < draws; ++i) {
    const auto draw = augment_draw(spec, {5, 0, 1, 0}, i);
    ++y[draw.offset_y];
    ++x[draw.offset_x];
    flips += draw.flip;
    flips_with_low_y += draw.flip && draw.offset_y < 8;
  }
  // 2000 expected with standard deviation 43; 17000 with 92. Five deviations.
  for (const auto* counts : {&y, &x}) {
    REQUIRE(counts->size() == choices);
    REQUIRE(counts->begin()->first == 0);
    REQUIRE(counts->rbegin()->first == choices - 1);
    for (const auto& [offset, count] : *counts) REQUIRE(std::abs(count - 2000) <= 215);
  }
  REQUIRE(std::abs(flips - draws / 2) <= 460);
  REQUIRE(std::abs(flips_with_low_y - draws / 2 * 8 / 17) <= 400);
  spec.flip = false;
  for (int i = 0; i < 100; ++i) REQUIRE(!augment_draw(spec, {5, 0, 1, 0}, i).flip);
  spec.reflect_pad = spec.zero_pad = 0;
  for (int i = 0; i < 100; ++i) REQUIRE(augment_draw(spec, {5, 0, 1, 0}, i).offset_y == 0);
}

TEST_CASE("each part of the key changes the draws") {
  const AugmentSpec spec{32, 32, 4, 4, true};
  const auto draws = [&](const AugmentKey& key, std::int64_t first) {
    std::vector<std::int64_t> all;
    for (std::int64_t i = 0; i < 50; ++i) {
      const auto draw = augment_draw(spec, key, first + i);
      all.insert(all.end(), {draw.offset_y, draw.offset_x, draw.flip});
    }
    return all;
  };
  const auto base = draws({1, 2, 3, 4}, 0);
  CHECK(base == draws({1, 2, 3, 4}, 0));
  CHECK(base != draws({2, 2, 3, 4}, 0));
  CHECK(base != draws({1 + (1ull << 32), 2, 3, 4}, 0));
  CHECK(base != draws({1, 3, 3, 4}, 0));
  CHECK(base != draws({1, 2, 4, 4}, 0));
  CHECK(base != draws({1, 2, 3, 5}, 0));
  CHECK(base != draws({1, 2, 3, 4}, 1));
  CHECK(base != draws({1, 2, 3, 4}, 1ll << 32));
}

TEST_CASE("the result does not depend on how a batch is split, or on threads") {
  const auto pixels = images();
  const AugmentSpec spec = spec_with(2, 3, true);
  const AugmentKey key{11, 1, 0, 1};
  const std::int64_t count = 400;
  std::vector<std::int64_t> index(count);
  for (std::int64_t i = 0; i < count; ++i) index[i] = i * 7 % kImages;
  const auto positions = counting(count, 1000);
  std::vector<float> whole(count * kSize);
  augment_images<Cpu, float>({}, spec, key, count, pixels.data(), index.data(), positions.data(),
                             whole.data());
  for (std::int64_t batch : {1, 7, 128}) {
    const Threads scope(batch == 7 ? 4 : 1);
    std::vector<float> parts(whole.size());
    for (std::int64_t at = 0; at < count; at += batch) {
      augment_images<Cpu, float>({}, spec, key, std::min(batch, count - at), pixels.data(),
                                 &index[at], &positions[at], &parts[at * kSize]);
    }
    REQUIRE(same_bits(parts, whole));
  }
}

TEST_CASE("augment_images refuses a reflection wider than the image") {
  const auto pixels = images();
  const std::vector<std::int64_t> zero{0};
  std::vector<float> out(kSize);
  const auto run = [&](const AugmentSpec& spec) {
    augment_images<Cpu, float>({}, spec, {}, 1, pixels.data(), zero.data(), zero.data(),
                               out.data());
  };
  CHECK_THROWS_AS(run(spec_with(6, 0, false)), ek::Error);
  CHECK_THROWS_AS(run(spec_with(0, -1, false)), ek::Error);
  CHECK_NOTHROW(run(spec_with(5, 0, false)));
}
