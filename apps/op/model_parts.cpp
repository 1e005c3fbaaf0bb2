#include "apps/op/model_parts.h"

#include "apps/op/families.h"
#include "models/layout.h"
#include "models/registry.h"

namespace ek {
namespace {

constexpr std::int64_t max_classes = 1'000'000;

Shape shape_in_file(const Shape& s) {
  return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s;
}

}  // namespace

std::vector<OpAttribute> network_attributes() {
  return {{.key = {"num_classes",
                   0,
                   "0: the rows of the classifier's weight",
                   {},
                   0,
                   double(max_classes)}},
          {.key = {"classifier", "linear", "the last layer", {"linear", "cosine"}}},
          {.key = {"cosine_scale", 1.0, "factor of a cosine classifier"}}};
}

std::unique_ptr<const Model> network_of(const std::string& network,
                                        const nlohmann::json& attributes) {
  return make_model(network, attributes.at("num_classes").get<std::int64_t>(),
                    attributes.at("classifier").get<std::string>(),
                    attributes.at("cosine_scale").get<double>());
}

void settle_num_classes(const std::string& op, const std::string& network,
                        const SafetensorsFile& file, nlohmann::json& attributes,
                        const std::string& prefix) {
  nlohmann::json& classes = attributes.at("num_classes");
  if (classes != 0) return;
  classes = 1;
  // The classifier's weight is the last matrix of a network.
  const auto specimen = network_of(network, attributes);
  std::string last;
  for (const ParameterSpec& spec : specimen->parameters()) {
    if (spec.shape.rank() == 2) last = prefix + spec.name;
  }
  const Tensor* weight = file.find(last);
  require(weight && weight->rank() == 2 && weight->size(0) >= 1 && weight->size(0) <= max_classes,
          "{}: expected the classifier {} [classes, {}], came {}", op, last,
          specimen->feature_count(), weight ? weight->shape().str() : "no such tensor");
  classes = weight->size(0);
}

std::vector<OpArgument> as_arguments(const std::vector<ParameterSpec>& specs,
                                     const std::string& prefix, OpKind kind, bool optional) {
  std::vector<OpArgument> arguments;
  for (const ParameterSpec& spec : specs) {
    const Shape shape = shape_in_file(spec.shape);
    arguments.push_back({prefix + spec.name, kind, shape.str(), optional, shape});
  }
  return arguments;
}

Params gather_params(const OpCall& call, const std::vector<ParameterSpec>& specs,
                     const std::string& prefix) {
  const auto initial = [&](const ParameterSpec& spec) {
    return init_params(std::span(&spec, 1), 0, call.dtype)[spec.name].to(call.device);
  };
  std::vector<Params::Entry> entries;
  for (const ParameterSpec& spec : specs) {
    const Tensor given = call.find(prefix + spec.name);
    entries.push_back({spec.name, given ? given : initial(spec)});
  }
  return Params(std::move(entries));
}

std::string input_text(const std::string& model) {
  return model == "toy" ? "[B, 2] or [B, 2, 1, 1]" : "[B, 3, H, W]";
}

void require_input(const std::string& op, const std::string& argument, const std::string& model,
                   const Tensor& x) {
  const Shape& s = x.shape();
  const bool fits = model == "toy"
                        ? s == Shape{x.numel() / 2, 2} || s == Shape{x.numel() / 2, 1, 1, 2}
                        : s.rank() == 4 && s[3] == 3;
  require(fits && x.numel() > 0, "{}: {} expected {}, not empty, came {}", op, argument,
          input_text(model), file_shape(x));
}

std::vector<std::string> op_model_names() {
  std::vector<std::string> names = model_names();
  names.push_back("toy");
  return names;
}

std::vector<NamedTensor> example_state(const Model& model, std::uint64_t seed,
                                       const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  const auto add = [&](const std::string& name, const Tensor& tensor) {
    tensors.emplace_back(prefix + name, tensor.rank() == 4 ? channels_first(tensor) : tensor);
  };
  for (const auto& [name, tensor] : model.init(seed, DType::float64)) add(name, tensor);
  std::uint32_t index = 1000;
  for (const ParameterSpec& spec : model.buffers()) {
    add(spec.name, spec.init == Init::ones ? random_uniform(spec.shape, seed, ++index, 0.5, 1.5)
                                           : random_normal(spec.shape, seed, ++index, 0.1));
  }
  return tensors;
}

}  // namespace ek
