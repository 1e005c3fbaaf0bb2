#pragma once
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "apps/support/check_case.h"

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
};
using CheckOutcomes = std::array<CheckOutcome, check_parts.size()>;  // by CheckPart

// Largest difference allowed to the float64 result of the CPU for the same (rounded) inputs,
// relative to the largest entry of a tensor, and of <ct, J v> to <J^T ct, v>, relative to the sum
// of the sizes of their terms:
//   float64   1e-11  sums of some hundred terms and quotients of them in another order
//   float32   1e-5   the same, at 6e-8 for each rounding
//   bfloat16  0.02   a few stores, each rounded by up to 2^-8, and sums of rounded activations
//                    that cancel in part; 0.04 in second order, where rounded first derivatives
//                    are inputs
double check_tolerance(DType dtype, CheckPart part);

// Mode test. On the CPU in float64, the reference of all others: the value is finite, has the same
// bits for one thread and several and, of a fused op, is that of its composition; derivatives are
// left to gradient_outcomes. Elsewhere: value, J^T ct, J v and second derivatives (forward over
// reverse, reverse over reverse) against the CPU in float64, and the first two against each other.
CheckOutcomes test_outcomes(const CheckCase& one, Device device, DType dtype);

// Mode grad, in float64: engine/gradient_check.h. A vjp is right if it is the adjoint of a jvp that
// agrees with finite differences.
CheckOutcomes gradient_outcomes(const CheckCase& one, Device device);

}  // namespace ek
