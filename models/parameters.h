#pragma once
#include <cstdint>
#include <span>
#include <string>

#include "engine/training/params.h"

namespace ek {

// How a parameter starts; `scale` is the standard deviation of `normal` and the half-width of
// `uniform`. `unit_rows`: uniform in (-1, 1), then each row of a matrix scaled to length 1.
enum class Init : std::uint8_t { zeros, ones, normal, uniform, unit_rows };

// One tensor of a model. Names are PyTorch's, shapes the engine's (convolution weights OHWI).
struct ParameterSpec {
  std::string name;
  Shape shape;
  Init init = Init::zeros;
  double scale = 1;
};

// Starting values over one flat buffer. Parameter i draws from the stream (seed, Purpose::init,
// epoch = i, view), element j of its engine layout at index j, so a tensor does not depend on the
// ones around it. Networks that live side by side use distinct `view`s. float32 or float64.
Params init_params(std::span<const ParameterSpec> specs, std::uint64_t seed, DType dtype,
                   std::uint32_t view = 0);

// Error that names `who` and the tensor if a spec's tensor is missing from `params` or has another
// shape, or another dtype than goes with images of `images` (accumulation_dtype). Further tensors
// are allowed.
void require_fits(std::string_view who, std::span<const ParameterSpec> specs, const Params& params,
                  DType images);

}  // namespace ek
