#pragma once
#include <string_view>

#include "engine/tensor/tensor.h"
#include "kernels/base/scalar.h"

namespace ek {

// A real number that an op or an optimiser scales by: a plain one, or one that lies in a device's
// memory and is read there when the kernel runs, so that it may change between the replays of
// a graph (engine/graph/graph.h). Made implicitly from a double or a float64 tensor of one element.
// It is a constant to every tape.
class Number {
 public:
  Number(double value) : factor_(value) {}
  // Error unless it is float64 of one element. Its memory is looked at whenever the number is used.
  Number(const Tensor& memory);

  bool is_plain() const { return !memory_.defined(); }
  // Reads the device where it is not plain, and so waits.
  double value() const;
  // For a kernel on `device`; Error naming `op` where the number lies on another one.
  kernels::Scalar on(Device device, std::string_view op) const;

  Number operator-() const { return *this * -1; }
  Number operator*(double by) const;
  Number operator/(double by) const;

 private:
  double factor_ = 1;
  Tensor memory_;
};

inline Number operator*(double by, const Number& number) {
  return number * by;
}

}  // namespace ek
