// model:NAME: a forward pass of a network whose parameters and buffers come from the file.
#include "apps/op/families.h"
#include "apps/op/model_parts.h"
#include "models/registry.h"

namespace ek {
namespace {

OpSignature expand(const std::string& name, const SafetensorsFile& file,
                   nlohmann::json& attributes) {
  settle_num_classes("model:" + name, name, file, attributes);
  const auto model = network_of(name, attributes);
  OpSignature signature;
  signature.arguments = as_arguments(model->parameters(), "", OpKind::differentiable);
  for (OpArgument& buffer : as_arguments(model->buffers(), "", OpKind::constant)) {
    signature.arguments.push_back(std::move(buffer));
  }
  signature.arguments.push_back(
      {.name = "x", .shape = input_text(name), .activation = name != "toy"});
  signature.outputs = {{"logits", "[B, num_classes]"}, {"features", "[B, features]"}};
  if (attributes.at("training").get<bool>()) {
    for (const ParameterSpec& buffer : model->buffers()) {
      signature.outputs.push_back({"new." + buffer.name, buffer.shape.str(), false});
    }
  }
  return signature;
}

std::vector<NamedTensor> run(const std::string& name, const OpCall& call) {
  require_input("model:" + name, "x", name, call.at("x"));
  const auto model = network_of(name, call.attributes);
  const bool training = call.flag("training");
  ModelOutput out = model->forward(gather_params(call, model->parameters(), ""),
                                   gather_params(call, model->buffers(), ""), call.at("x"),
                                   training ? Mode::train : Mode::eval);
  std::vector<NamedTensor> outputs{{"logits", out.logits}, {"features", out.features}};
  if (!training) return outputs;
  for (const auto& [buffer, tensor] : out.buffers) outputs.emplace_back("new." + buffer, tensor);
  return outputs;
}

OpExample example(const std::string& name, std::uint64_t seed) {
  const auto model = make_model(name, 5);
  OpExample example{example_state(*model, seed)};
  const Shape x = name == "toy" ? Shape{6, 2} : Shape{3, 3, 8, 8};
  example.tensors.emplace_back("x", random_normal(x, seed, 2000));
  example.attributes["training"] = true;
  return example;
}

}  // namespace

std::vector<OpEntry> model_ops() {
  std::vector<OpEntry> entries;
  for (const std::string& name : op_model_names()) {
    std::vector<OpAttribute> attributes{{.key = {"training", false, "batch statistics"}}};
    for (OpAttribute& attribute : network_attributes()) attributes.push_back(std::move(attribute));
    entries.push_back(
        {.name = "model:" + name,
         .doc = name == "toy" ? "the network of the golden meta-gradient: 2 -> 4 -> classes"
                              : "CIFAR ResNet, a forward pass",
         .signature = {{{"PARAMETER", OpKind::differentiable, "each by its PyTorch name, OIHW"},
                        {"BUFFER", OpKind::constant, "running_mean and running_var, likewise"},
                        {"x", OpKind::differentiable, input_text(name)}},
                       {{"logits", "[B, num_classes]"},
                        {"features", "[B, features], what the classifier sees"},
                        {"new.BUFFER", "in training, moved with momentum 0.1", false}}},
         .attributes = std::move(attributes),
         .run = [name](const OpCall& call) { return run(name, call); },
         .example = [name](std::uint64_t seed) { return example(name, seed); },
         .expand = [name](const SafetensorsFile& file,
                          nlohmann::json& a) { return expand(name, file, a); },
         .passed_over = "num_batches_tracked"});
  }
  return entries;
}

}  // namespace ek
