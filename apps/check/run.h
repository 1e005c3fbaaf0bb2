#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "apps/check/case.h"

// One case on one device in one dtype: what holds, what is refused, what is wrong.
namespace ek {

enum class CheckPart : std::uint8_t { forward, vjp, jvp, second };
inline constexpr std::array check_parts{CheckPart::forward, CheckPart::vjp, CheckPart::jvp,
                                        CheckPart::second};
std::string_view name_of(CheckPart part);

enum class CheckState : std::uint8_t { not_run, passed, refused, failed };

struct CheckOutcome {
  CheckState state = CheckState::not_run;
  std::string detail;  // of a refusal or a failure: one line
  double error = 0;    // the largest relative one that was seen
  double allowed = 0;  // what it was held to
};
using CheckOutcomes = std::array<CheckOutcome, check_parts.size()>;  // by CheckPart

// Largest difference allowed to the float64 result of the CPU for the same (rounded) inputs,
// relative to the largest entry of a tensor, and of <ct, J v> to <J^T ct, v>, relative to the sum
// of the sizes of their terms:
//   float64   1e-11  sums of some hundred terms and quotients of them in another order
//   float32   2e-5   the same, at 6e-8 for each rounding; the most: J v of a 5x5 kernel over 16
//                    channels, where tensor cores cut 300 partial sums (two sources of 400 terms,
//                    eight at a time, three products for one)
//   bfloat16  0.02   a few stores, each rounded by up to 2^-8, and sums of rounded activations
//                    that cancel in part; 0.04 in second order, where rounded first derivatives
//                    are inputs
//   tf32      2e-5   the same as float32: the reference gets the factors as tf32 rounds them (10
//                    bits of fraction, halves away from zero), and products of two such numbers are
//                    exact in float32. Directions are tf32 numbers from the start, so that J v and
//                    J^T ct are made of the same factors, and the two products with them agree as
//                    float32 sums do. A kernel that cuts instead of rounding is off by 2^-10.
//             0.0025 `fused`: also a convolution's factors that the op itself computes (an
//                    activation, its tangent, a cotangent with those of the statistics) are
//                    rounded, and by the reference not; each by up to 2^-11, an eighth of what a
//                    bfloat16 store does, and the sums are those of bfloat16: an eighth of 0.02
double check_tolerance(CheckType type, CheckPart part, bool fused);

// Mode test. On the CPU in float64, the reference of all others: the value is finite, has the same
// bits for one thread and several and, of a fused op, is that of its composition; derivatives are
// left to gradient_outcomes. Elsewhere: value, J^T ct, J v and second derivatives (forward over
// reverse, reverse over reverse) against the CPU in float64, and the first two against each other.
// Second derivatives are not run in tf32, and nothing of an op that does not have its products.
CheckOutcomes test_outcomes(const CheckCase& one, Device device, CheckType type);

// Mode grad, in float64: engine/autodiff/gradient_check.h. A vjp is right if it is the adjoint of a
// jvp that agrees with finite differences.
CheckOutcomes gradient_outcomes(const CheckCase& one, Device device);

}  // namespace ek
