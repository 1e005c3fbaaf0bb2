#pragma once
#include <array>

#include "engine/ops/common.h"

namespace ek::ops {

// The record of y = f(a, b), linear in each operand. A subclass names f and its two transposes, all
// through public ops, so that every order of differentiation works.
class BilinearOp : public Op {
 public:
  // An operand is kept only if a tape tracks the other one: nothing else needs it.
  BilinearOp(const Tensor& a, const Tensor& b) {
    if (recording(std::array{b})) a_ = Saved(a);
    if (recording(std::array{a})) b_ = Saved(b);
  }

  Tensors vjp(const Tensors& cotangents, const Needs& needs) const final {
    Tensors result(2);
    if (needs[0]) result[0] = transpose_a(cotangents[0], b_.get());
    if (needs[1]) result[1] = transpose_b(cotangents[0], a_.get());
    return result;
  }

  Tensors jvp(const Tensors& tangents) const final {
    const Tensor &da = tangents[0], &db = tangents[1];
    if (da && db) return {apply_sum(da, b_.get(), a_.get(), db)};
    return {da ? apply(da, b_.get()) : apply(a_.get(), db)};
  }

 protected:
  virtual Tensor apply(const Tensor& a, const Tensor& b) const = 0;
  virtual Tensor transpose_a(const Tensor& ct, const Tensor& b) const = 0;
  virtual Tensor transpose_b(const Tensor& ct, const Tensor& a) const = 0;
  // f(da, b) + f(a, db)
  virtual Tensor apply_sum(const Tensor& da, const Tensor& b, const Tensor& a,
                           const Tensor& db) const {
    return add(apply(da, b), apply(a, db));
  }

 private:
  Saved a_, b_;
};

}  // namespace ek::ops
