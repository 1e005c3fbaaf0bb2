#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/autodiff/functional.h"

namespace ek {

// Checks of an op's derivatives in float64, along random directions. With phi(x, ct) = <ct, f(x)>
// and g(x, ct) = its gradient with respect to x:
//
//   jvp                   J v                        against a finite difference of f along v
//   adjoint               <ct, J v>                  against <J^T ct, v>
//   recorded vjp, jvp     Differentiable::yes        against the same with Differentiable::no
//   reverse over reverse  vjp of g                   against a finite difference of g (the Hessian
//                                                    of phi is symmetric) and, for ct, J w
//   forward over reverse  jvp of g                   against a finite difference of g
//   forward over forward  jvp of x -> J(x) v         against a finite difference of it
//   reverse over forward  vjp of x -> J(x) v         against forward over reverse
//
// Finite differences are four-point central ones (error of order step^4), so the points
// x + k step v with |k| <= 2 have to be free of kinks: keep inputs away from them, or lower `step`.
struct GradcheckOptions {
  std::uint64_t seed = 1;
  double step = 1e-4;
  // Largest difference allowed between a derivative and a finite difference, relative to the
  // largest entry of either. Rounding leaves about 1e-16 |f| / step = 1e-12, times the condition
  // of f.
  double tolerance = 1e-8;
  double tolerance_second = 1e-7;
  // Between two evaluations of the same exact quantity (adjoint, recorded against not).
  double tolerance_exact = 1e-11;
  bool second_order = true;
  // Which inputs are differentiated; all floating-point ones if empty. The others are constants.
  std::vector<bool> differentiable;
};

// One line per check that fails: op, check, values. Empty if all hold.
std::vector<std::string> gradient_errors(const char* name, const TensorFunction& f,
                                         const Tensors& inputs,
                                         const GradcheckOptions& options = {});

// The same for f's composition of plain ops: its outputs come from fused ops and equal their
// composition, relative to the largest entry. `differentiable` as in GradcheckOptions.
std::vector<std::string> composition_errors(const char* name, const TensorFunction& f,
                                            const Tensors& inputs, double tolerance,
                                            const std::vector<bool>& differentiable = {});

// Standard normal numbers times `scale` plus `shift`, the same for the same seed.
Tensor random_tensor(const Shape& shape, std::uint64_t seed, double scale = 1, double shift = 0,
                     DType dtype = DType::float64);

// Largest |a - b| / max(|a|, |b|, floor) over all entries, by the largest entry; NaN if any is NaN.
double relative_error(const Tensor& a, const Tensor& b, double floor = 0);

}  // namespace ek
