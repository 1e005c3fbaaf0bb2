#include "tests/engine/gradcheck.h"

#include "tests/catch.h"

using ek::Tensor;
using ek::Tensors;

void check_gradients(const char* name, const ek::TensorFunction& f, const Tensors& inputs,
                     const GradcheckOptions& options) {
  std::vector<std::string> errors = gradient_errors(name, f, inputs, options);
  for (const std::string& error : errors) FAIL_CHECK(error);
  CHECK(errors.empty());
}

void check_fused_composition(const char* name, const ek::TensorFunction& f, const Tensors& inputs,
                             double tolerance) {
  std::vector<std::string> errors = ek::composition_errors(name, f, inputs, tolerance);
  for (const std::string& error : errors) FAIL_CHECK(error);
  CHECK(errors.empty());
}

Tensor index_tensor(const std::vector<std::int64_t>& values) {
  return Tensor::from(values, ek::Shape{std::int64_t(values.size())});
}
