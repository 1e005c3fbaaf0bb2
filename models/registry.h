#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/float_products.h"
#include "models/model.h"

namespace ek {

// The networks for images.
std::vector<std::string> model_names();

// "resnet8", "resnet20" or "resnet32" with a "linear" or "cosine" classifier; `cosine_scale`
// multiplies the cosines, `products` says how convolutions multiply float32. Error that lists the
// names for an unknown one. Also "toy" (models/toy.h), which is no network for images and so not
// among the names.
std::unique_ptr<const Model> make_model(
    std::string_view name, std::int64_t num_classes, std::string_view classifier = "linear",
    double cosine_scale = 1, kernels::FloatProducts products = kernels::FloatProducts::exact);

}  // namespace ek
