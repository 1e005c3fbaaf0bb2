#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "kernels/base/error.h"

namespace ek {

// Extents of a dense row-major tensor, outermost first; rank 0 is a scalar.
// Images are [batch, height, width, channels], convolution weights [out, kh, kw, in].
class Shape {
 public:
  static constexpr int max_rank = 6;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> extents)
      : Shape(std::span(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const std::int64_t> extents) {
    require(extents.size() <= max_rank, "shape: rank {} is above {}", extents.size(), max_rank);
    rank_ = int(extents.size());
    std::copy(extents.begin(), extents.end(), extents_.begin());
    for (std::int64_t extent : extents) require(extent >= 0, "shape: negative extent {}", extent);
  }

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return extents_[std::size_t(axis)]; }
  std::int64_t front() const { return extents_[0]; }
  std::int64_t back() const { return extents_[std::size_t(rank_ - 1)]; }
  std::span<const std::int64_t> extents() const { return {extents_.data(), std::size_t(rank_)}; }
  std::int64_t numel() const {
    std::int64_t n = 1;
    for (std::int64_t extent : extents()) n *= extent;
    return n;
  }
  bool operator==(const Shape& other) const {
    return std::ranges::equal(extents(), other.extents());
  }
  // "[128, 32, 32, 3]"
  std::string str() const { return fmt::format("[{}]", fmt::join(extents(), ", ")); }

 private:
  std::array<std::int64_t, max_rank> extents_{};
  int rank_ = 0;
};

}  // namespace ek
