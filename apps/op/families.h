#pragma once
#include <vector>

#include "apps/op/table.h"

// The entries of the table, one function per family and file.
namespace ek {

std::vector<OpEntry> conv_ops();           // conv2d and pools
std::vector<OpEntry> norm_ops();           // batch_norm
std::vector<OpEntry> dense_ops();          // linear, cosine_linear, relu, add
std::vector<OpEntry> loss_ops();           // softmax_cross_entropy, loss:NAME
std::vector<OpEntry> model_ops();          // model:NAME
std::vector<OpEntry> meta_gradient_ops();  // metagrad:NAME

// The shape in PyTorch's order, for messages: of [N, H, W, C] it is [N, C, H, W].
std::string file_shape(const Tensor& x);

// One integer or [height, width] of at least `minimum`.
OpAttribute pair_attribute(const std::string& name, const nlohmann::json& fallback,
                           const std::string& doc, double minimum);

// Reproducible numbers for examples: stream `index` of `seed`, float64.
Tensor random_normal(const Shape& shape, std::uint64_t seed, std::uint32_t index, double scale = 1);
Tensor random_uniform(const Shape& shape, std::uint64_t seed, std::uint32_t index, double low,
                      double high);
Tensor random_labels(std::int64_t count, std::int64_t classes, std::uint64_t seed,
                     std::uint32_t index);

}  // namespace ek
