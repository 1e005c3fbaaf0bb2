#pragma once
#include <cmath>
#include <string>
#include <vector>

#include "apps/op/run.h"
#include "tests/catch.h"
#include "tests/temp_dir.h"

// Ops driven as the program drives them: tensors to a file, the file to the op.
namespace op_files {

inline ek::Tensor real(const std::vector<double>& values, const ek::Shape& shape) {
  return ek::Tensor::from(values, shape);
}
inline ek::Tensor whole(const std::vector<std::int64_t>& values) {
  return ek::Tensor::from(values, {std::int64_t(values.size())});
}

struct Outputs {
  std::vector<ek::NamedTensor> tensors;

  bool has(const std::string& name) const {
    for (const auto& [key, tensor] : tensors) {
      if (key == name) return true;
    }
    return false;
  }
  const ek::Tensor& operator[](const std::string& name) const {
    for (const auto& [key, tensor] : tensors) {
      if (key == name) return tensor;
    }
    FAIL("no output " << name);
    return tensors.front().second;
  }
};

// Writes `tensors`, reads them back, runs the op. "IN" names the file in messages.
inline Outputs run(const std::string& op, const std::vector<ek::NamedTensor>& tensors,
                   const std::string& attributes = "", bool derivatives = false,
                   std::optional<ek::DType> dtype = {}) {
  const TempDir dir;
  ek::write_safetensors(dir / "in.safetensors", tensors);
  const ek::SafetensorsFile file = ek::read_safetensors(dir / "in.safetensors");
  return {ek::run_op(ek::find_op(op), file, {attributes, dtype, derivatives, derivatives}, "IN")
              .tensors};
}

// Largest |a - b| relative to the largest entry of b; infinite for other shapes and for NaN.
inline double error(const ek::Tensor& a, const ek::Tensor& b) {
  if (!(a.shape() == b.shape())) return HUGE_VAL;
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  double difference = 0, size = 1e-300;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) return HUGE_VAL;
    difference = std::max(difference, std::abs(x[i] - y[i]));
    size = std::max(size, std::abs(y[i]));
  }
  return difference / size;
}

}  // namespace op_files
