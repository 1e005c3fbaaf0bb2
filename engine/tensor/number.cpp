#include "engine/tensor/number.h"

#include "kernels/base/error.h"

namespace ek {

Number::Number(const Tensor& memory) : memory_(memory) {
  require(memory.defined() && memory.dtype() == DType::float64 && memory.numel() == 1,
          "number: {} {}, float64 of one element is wanted",
          memory.defined() ? name_of(memory.dtype()) : "an undefined tensor",
          memory.defined() ? memory.shape().str() : "");
}

double Number::value() const {
  return is_plain() ? factor_ : factor_ * memory_.item();
}

kernels::Scalar Number::on(Device device, std::string_view op) const {
  if (is_plain()) return {factor_};
  require(memory_.device() == device, "{}: a number that lies on {} beside tensors on {}", op,
          memory_.device().str(), device.str());
  return {factor_, memory_.data<double>()};
}

Number Number::operator*(double by) const {
  Number result = *this;
  result.factor_ *= by;
  return result;
}

Number Number::operator/(double by) const {
  Number result = *this;
  result.factor_ /= by;
  return result;
}

}  // namespace ek
