#pragma once
#include <array>
#include <functional>
#include <string_view>
#include <utility>

#include "engine/ops/common.h"

namespace ek::ops {

// The record of a linear op of one tensor: the op itself is its tangent, the transpose its
// cotangent. Both are given as functions that record themselves, each with the other as transpose,
// so that every order of differentiation works.
class LinearPair final : public Op {
 public:
  using Map = std::function<Tensor(const Tensor&)>;
  LinearPair(std::string_view name, Map map, Map transpose)
      : name_(name), map_(std::move(map)), transpose_(std::move(transpose)) {}

  std::string_view name() const override { return name_; }
  Tensors vjp(const Tensors& cotangents, const Needs&) const override {
    return {transpose_(cotangents[0])};
  }
  Tensors jvp(const Tensors& tangents) const override { return {map_(tangents[0])}; }

 private:
  std::string_view name_;  // a literal
  Map map_, transpose_;
};

// Records out = map(x) and returns out.
inline Tensor record_linear(std::string_view name, const Tensor& x, const Tensor& out,
                            const LinearPair::Map& map, const LinearPair::Map& transpose) {
  record(std::array{x}, std::array{out},
         [&] { return std::make_unique<LinearPair>(name, map, transpose); });
  return out;
}

}  // namespace ek::ops
