#include "models/parameters.h"

#include <cmath>

#include "engine/tensor/random.h"

namespace ek {
namespace {

std::vector<double> draw(const ParameterSpec& spec, const RandomStream& random) {
  std::vector<double> values(std::size_t(spec.shape.numel()), spec.init == Init::ones ? 1.0 : 0.0);
  if (spec.init == Init::zeros || spec.init == Init::ones) return values;
  const double half_width = spec.init == Init::unit_rows ? 1.0 : spec.scale;
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = spec.init == Init::normal ? spec.scale * random.normal(i)
                                          : half_width * (2 * random.uniform(i) - 1);
  }
  if (spec.init == Init::unit_rows) {
    const std::size_t columns = std::size_t(spec.shape.back());
    for (std::size_t row = 0; row < values.size(); row += columns) {
      double squares = 0;
      for (std::size_t k = 0; k < columns; ++k) squares += values[row + k] * values[row + k];
      for (std::size_t k = 0; k < columns; ++k) values[row + k] /= std::sqrt(squares);
    }
  }
  return values;
}

}  // namespace

Params init_params(std::span<const ParameterSpec> specs, std::uint64_t seed, DType dtype,
                   std::uint32_t view) {
  require(dtype == DType::float32 || dtype == DType::float64,
          "init_params: parameters are float32 or float64, got {}", name_of(dtype));
  std::vector<Params::Entry> entries;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const RandomStream random(seed, Purpose::init, std::uint32_t(i), view);
    const Tensor values = Tensor::from(draw(specs[i], random), specs[i].shape);
    entries.push_back({specs[i].name, values.to(dtype)});
  }
  return Params(std::move(entries)).flattened();
}

void require_fits(std::string_view who, std::span<const ParameterSpec> specs, const Params& params,
                  DType images) {
  const DType wanted = accumulation_dtype(images);
  for (const ParameterSpec& spec : specs) {
    require(params.contains(spec.name), "{}: {} {} is missing", who, spec.name, spec.shape.str());
    const Tensor& tensor = params[spec.name];
    require(tensor.shape() == spec.shape, "{}: {} must be {}, got {}", who, spec.name,
            spec.shape.str(), tensor.shape().str());
    require(tensor.dtype() == wanted, "{}: {} must be {} beside {} x, got {}", who, spec.name,
            name_of(wanted), name_of(images), name_of(tensor.dtype()));
  }
}

}  // namespace ek
