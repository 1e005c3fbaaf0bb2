#include "apps/op/table.h"

#include <algorithm>

#include "apps/op/families.h"
#include "engine/io/text.h"
#include "engine/tensor/random.h"
#include "methods/recipes/parts.h"

namespace ek {

const Tensor& OpCall::at(std::string_view name) const {
  const auto found = tensors.find(name);
  require(found != tensors.end(), "argument {} is missing", name);
  return found->second;
}

Tensor OpCall::find(std::string_view name) const {
  const auto found = tensors.find(name);
  return found == tensors.end() ? Tensor() : found->second;
}

const std::vector<OpEntry>& op_table() {
  static const std::vector<OpEntry> table = [] {
    std::vector<OpEntry> all;
    for (auto family : {conv_ops, norm_ops, dense_ops, loss_ops, model_ops, meta_gradient_ops}) {
      for (OpEntry& entry : family()) all.push_back(std::move(entry));
    }
    return all;
  }();
  return table;
}

const OpEntry& find_op(std::string_view name) {
  std::vector<std::string> names;
  for (const OpEntry& entry : op_table()) {
    if (entry.name == name) return entry;
    names.push_back(entry.name);
  }
  fail("ek-op: '{}' is not known{} (ek-op --list shows all)", printable(name),
       did_you_mean(name, names));
}

std::string file_shape(const Tensor& x) {
  const Shape& s = x.shape();
  return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]}.str() : s.str();
}

OpAttribute pair_attribute(const std::string& name, const nlohmann::json& fallback,
                           const std::string& doc, double minimum) {
  // Far beyond any image, and small enough for the arithmetic of extents.
  constexpr double maximum = 1 << 20;
  return {.key = {name, fallback, doc, {}, minimum, maximum}, .pair = true};
}

namespace {

template <class Draw>
Tensor drawn(const Shape& shape, Draw&& draw) {
  std::vector<double> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = draw(i);
  return Tensor::from(values, shape);
}

}  // namespace

Tensor random_normal(const Shape& shape, std::uint64_t seed, std::uint32_t index, double scale) {
  const RandomStream random(seed, Purpose::test, index);
  return drawn(shape, [&](std::size_t i) { return scale * random.normal(i); });
}

Tensor random_uniform(const Shape& shape, std::uint64_t seed, std::uint32_t index, double low,
                      double high) {
  const RandomStream random(seed, Purpose::test, index);
  return drawn(shape, [&](std::size_t i) { return low + (high - low) * random.uniform(i); });
}

Tensor random_labels(std::int64_t count, std::int64_t classes, std::uint64_t seed,
                     std::uint32_t index) {
  const RandomStream random(seed, Purpose::test, index);
  std::vector<std::int64_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    labels.push_back(std::int64_t(random.below(std::uint64_t(i), std::uint64_t(classes))));
  }
  return Tensor::from(labels, {count});
}

}  // namespace ek
