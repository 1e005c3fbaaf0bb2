#pragma once
#include <cstdint>
#include <span>

#include "kernels/base/backend.h"
#include "kernels/base/scalar.h"

namespace ek::kernels {

// A run of the flat parameter buffer with its own settings (a parameter group).
struct OptimSegment {
  std::int64_t begin, end;  // elements, begin <= end
  double lr_factor = 1;     // multiplies the learning rate
  double weight_decay = 0;
  bool frozen = false;  // leaves the elements and their state as they are
};

// SGD (docs/protocol.md):
//   g += wd p;  buffer = first_step ? g : momentum buffer + g;
//   update = nesterov ? g + momentum buffer : buffer;  p -= lr update
// momentum_buffer may be null when momentum is 0. The learning rate may lie in the device's memory:
// both forms give the same bits.
struct SgdSettings {
  Scalar lr;
  double momentum = 0;
  bool nesterov = false, first_step = false;
};
template <class B, class T>
void sgd_step(Stream stream, const SgdSettings& settings, std::span<const OptimSegment> segments,
              const T* gradient, T* parameters, T* momentum_buffer);

// Adam with coupled weight decay (docs/protocol.md); step counts from 1, which a backend
// checks where the number is plain. It and the learning rate may lie in the device's memory.
//   g += wd p;  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;
//   p -= lr (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + eps)
struct AdamSettings {
  Scalar lr;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;
  Count step = 1;
};
template <class B, class T>
void adam_step(Stream stream, const AdamSettings& settings, std::span<const OptimSegment> segments,
               const T* gradient, T* parameters, T* first_moment, T* second_moment);

}  // namespace ek::kernels
