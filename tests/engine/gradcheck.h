#pragma once
#include "engine/autodiff/gradient_check.h"

// engine/autodiff/gradient_check.h for tests.
using ek::GradcheckOptions;
using ek::gradient_errors;
using ek::random_tensor;
using ek::relative_error;

// Catch2 assertion that there are none.
void check_gradients(const char* name, const ek::TensorFunction& f, const ek::Tensors& inputs,
                     const GradcheckOptions& options = {});

// Asserts that f's outputs come from fused ops and equal their composition of plain ops, relative
// to the largest entry. Inputs as for check_gradients (at least one is floating-point).
void check_fused_composition(const char* name, const ek::TensorFunction& f,
                             const ek::Tensors& inputs, double tolerance = 1e-12);

ek::Tensor index_tensor(const std::vector<std::int64_t>& values);
