#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/autodiff/functional.h"
#include "kernels/base/float_products.h"

// What ek-check runs: every op of engine/ops.h on a few awkward shapes (odd sizes, one element,
// batch 1, channels that are a multiple of nothing, groups, strides), convolutions also with larger
// kernels (5x5; the 7x7 with stride 2 of a ResNet-50's stem), and, for its timings, on one large
// one. Inputs lie away from kinks and ties, so that finite differences hold and rounding to
// bfloat16 switches nothing.
namespace ek {

// What a run computes in: a dtype, and how it multiplies in float32.
struct CheckType {
  DType dtype;
  kernels::FloatProducts products = kernels::FloatProducts::exact;

  constexpr CheckType(DType of, kernels::FloatProducts how = kernels::FloatProducts::exact)
      : dtype(of), products(how) {}
  constexpr bool is_tf32() const { return products == kernels::FloatProducts::tf32; }
  constexpr std::string_view name() const { return is_tf32() ? "tf32" : name_of(dtype); }
  bool operator==(const CheckType&) const = default;
};

struct CheckCase {
  std::string op;    // as in engine/ops.h
  std::string name;  // what is special about it, for messages
  Tensors inputs;    // float64 on the CPU; indices int64, masks uint8
  TensorFunction run;
  // Of each input, in a bfloat16 run: an activation is bfloat16, the others are float32. All are
  // bfloat16 if empty, which an op that activations do not pass through has to refuse.
  std::vector<bool> activation = {};
  // Which inputs are differentiated; all floating-point ones if empty.
  std::vector<bool> differentiable = {};
  // The outputs come from a fused op, whose composition of plain ops has to agree.
  bool fused = false;
  // The derivative is zero by definition, whatever a finite difference says (stop_gradient).
  bool stops_gradient = false;
  // The same with tf32 products; empty for an op that cannot be asked for them.
  TensorFunction run_tf32 = {};
  // Of each input, whether it is a factor of such products as it is. Others are factors, if at all,
  // after something was computed of them.
  std::vector<bool> factors = {};

  // Empty if the op does not have the products of this type.
  const TensorFunction& run_in(CheckType type) const { return type.is_tf32() ? run_tf32 : run; }
};

// All of them, grouped by op in the order of engine/ops.h.
std::vector<CheckCase> check_cases();
// One large case for each op that takes time.
std::vector<CheckCase> perf_cases();
// Those of an op whose name contains the regular expression. Error if that is none or fits none.
std::vector<CheckCase> matching_cases(std::vector<CheckCase> cases, const std::string& filter);

// The families of the two lists; `large` gives those of perf_cases.
std::vector<CheckCase> plain_cases(bool large);  // identity to gathers, collectives
std::vector<CheckCase> dense_cases(bool large);  // products and classification losses
std::vector<CheckCase> conv_cases(bool large);
std::vector<CheckCase> norm_cases(bool large);
std::vector<CheckCase> pool_cases(bool large);

// Numbers of float64, the same for the same seed.
namespace check_numbers {
Tensor normal(const Shape& shape, std::uint64_t seed, double scale = 1, double shift = 0);
// Normal numbers pushed away from zero: at least `gap` in size.
Tensor away_from_zero(const Shape& shape, std::uint64_t seed, double gap = 0.3);
// In [0.5, 1.5).
Tensor positive(const Shape& shape, std::uint64_t seed);
// A shuffled ladder of multiples of 1/16: no two are closer.
Tensor distinct(const Shape& shape, std::uint64_t seed);
// Near 1 and -1 in turn from row to row and from channel to channel, so that what normalisation
// makes of them is near 1 and -1 as well. Rank 2 or 4, channels last.
Tensor two_sided(const Shape& shape, std::uint64_t seed);
// int64 [count] in [0, bound).
Tensor indices(std::int64_t count, std::int64_t bound, std::uint64_t seed);
}  // namespace check_numbers

}  // namespace ek
