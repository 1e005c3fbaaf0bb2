// metagrad:difficulty-net: one meta-gradient of Algorithm 1 (methods/meta/difficulty_net.cpp), with
// the classifier, the Difficulty-Net and both batches from the file.
#include "apps/op/families.h"
#include "apps/op/metagrad_example.h"
#include "apps/op/model_parts.h"
#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "methods/losses/loss.h"
#include "methods/meta/bilevel.h"
#include "models/difficulty_net.h"

namespace ek {
namespace {

const std::string op_name = "metagrad:difficulty-net";

// The loss attribute is a name, or an object of a name and the loss's own options.
std::string loss_name(const nlohmann::json& attribute) {
  if (attribute.is_string()) return attribute.get<std::string>();
  const auto name = attribute.find("name");
  require(name != attribute.end() && name->is_string(),
          "{}: --attrs: 'loss' expected a name, or an object with one under 'name'", op_name);
  return name->get<std::string>();
}

Loss make_loss(const OpCall& call, std::int64_t classes) {
  const nlohmann::json& attribute = call.attributes.at("loss");
  std::vector<std::int64_t> counts(std::size_t(classes), 1);
  if (const Tensor given = call.find("class_counts")) {
    const auto values = given.span<std::int64_t>();
    counts.assign(values.begin(), values.end());
  }
  const Loss loss =
      Loss::make(loss_name(attribute), attribute.is_object() ? attribute : nlohmann::json::object(),
                 counts, call.dtype, call.device);
  require(loss.normalizer() == Normalizer::mean_batch && !loss.class_weights(),
          "{}: it weights the classes itself, so loss expected one without class weights and with "
          "normalizer mean_batch",
          op_name);
  loss.require_of_logits(op_name);
  return loss;
}

// Bias or not, and the width, are those of the file.
DifficultyNet net_of(const SafetensorsFile& file, std::int64_t classes) {
  const bool bias =
      file.find("net.fc1.bias") || file.find("net.fc2.bias") || file.find("net.fc3.bias");
  const Tensor* first = file.find("net.fc1.weight");
  require(first && first->rank() == 2 && first->size(0) >= 1,
          "{}: expected the Difficulty-Net's net.fc1.weight [hidden, {}], came {}", op_name,
          classes, first ? first->shape().str() : "no such tensor");
  return DifficultyNet(classes, bias, first->size(0));
}

DifficultyNet net_of(const OpCall& call, std::int64_t classes) {
  return DifficultyNet(classes, call.find("net.fc1.bias").defined(),
                       call.at("net.fc1.weight").size(0));
}

OpSignature expand(const SafetensorsFile& file, nlohmann::json& attributes) {
  const std::string network = attributes.at("model").get<std::string>();
  settle_num_classes(op_name, network, file, attributes, "model.");
  const auto model = network_of(network, attributes);
  const std::int64_t classes = model->num_classes();
  const DifficultyNet net = net_of(file, classes);
  const bool counted = find_loss(loss_name(attributes.at("loss"))).needs_counts;

  OpSignature signature;
  const auto append = [&](std::vector<OpArgument> arguments) {
    for (OpArgument& a : arguments) signature.arguments.push_back(std::move(a));
  };
  append(as_arguments(model->parameters(), "model.", OpKind::constant));
  append(as_arguments(model->buffers(), "model.", OpKind::constant, true));
  append(as_arguments(net.parameters(), "net.", OpKind::constant));
  const std::string input = input_text(network);
  append({{"train.x", OpKind::constant, input},
          {"train.y", OpKind::integer, "[B]"},
          {"meta.x", OpKind::constant, input},
          {"meta.y", OpKind::integer, "[M]"},
          {"class_accuracy", OpKind::constant, "[C]", false, Shape{classes}},
          {"class_counts", OpKind::count, "[C]", !counted, Shape{classes}}});
  signature.outputs = {{"meta_loss", "[]", false},
                       {"driver_loss", "[]", false},
                       {"class_weights", "[C]", false},
                       {"grad.class_weights", "[C]", false}};
  for (const ParameterSpec& spec : net.parameters()) {
    signature.outputs.push_back({"grad.net." + spec.name, spec.shape.str(), false});
  }
  return signature;
}

void require_batch(const std::string& part, const std::string& network, const OpCall& call) {
  const Tensor &x = call.at(part + ".x"), &y = call.at(part + ".y");
  require_input(op_name, part + ".x", network, x);
  require(y.shape() == Shape{x.size(0)}, "{}: {}.y expected [{}] for {}.x {}, came {}", op_name,
          part, x.size(0), part, file_shape(x), file_shape(y));
}

std::vector<NamedTensor> run(const OpCall& call) {
  const std::string network = call.text("model");
  require_batch("train", network, call);
  require_batch("meta", network, call);
  const auto model = network_of(network, call.attributes);
  const Loss loss = make_loss(call, model->num_classes());
  const DifficultyNet net = net_of(call, model->num_classes());
  const Params phi = gather_params(call, model->parameters(), "model.").flattened();
  const Params theta = gather_params(call, net.parameters(), "net.").flattened();
  const Params buffers = gather_params(call, model->buffers(), "model.");
  const Tensor &accuracy = call.at("class_accuracy"), &labels = call.at("train.y");

  const auto train_losses = [&](const Params& p) {
    const ModelOutput out = model->forward(p, buffers, call.at("train.x"), Mode::train);
    return std::pair(loss.per_sample(out.logits, labels), out.buffers);
  };
  const auto meta_loss = [&](const Params& p) {
    const Tensor logits = model->forward(p, buffers, call.at("meta.x"), Mode::train).logits;
    return ops::mean(Loss::cross_entropy().per_sample(logits, call.at("meta.y")));
  };
  const BilevelProblem problem{
      train_losses, meta_loss, class_weighted_mean(labels), {.lr = call.number("inner_lr")}};

  const Tensor weights = class_weights(net.difficulty(theta, accuracy));
  const Params seen = as_class_weights(weights);
  const auto train = linearize(problem.train_losses, phi);
  const MetaGradient meta = meta_gradient(parse_estimator(call.text("estimator")), problem, train,
                                          phi, seen, problem.inner.cotangent(train.value(), seen));
  const Tensor& by_weights = meta.outer["class_weights"];

  const DriverTarget target = parse_driver_target(call.text("driver_target"));
  const auto objective = [&](const Params& p) {
    return difficulty_objective(net.difficulty(p, accuracy), accuracy, by_weights, target,
                                call.number("lambda"));
  };
  std::vector<NamedTensor> outputs{
      {"meta_loss", meta.meta_loss},
      {"driver_loss", driver_loss(net.difficulty(theta, accuracy), accuracy, target)},
      {"class_weights", weights},
      {"grad.class_weights", by_weights},
  };
  for (const auto& [name, tensor] : grad(objective, theta)) {
    outputs.emplace_back("grad.net." + name, tensor);
  }
  return outputs;
}

std::vector<OpAttribute> attributes() {
  std::vector<OpAttribute> all{{.key = {"model", "resnet32", "the classifier", op_model_names()}}};
  for (OpAttribute& attribute : network_attributes()) all.push_back(std::move(attribute));
  const std::vector<std::string> targets{"one_minus_share", "one_minus_accuracy"};
  const std::vector<std::string> estimators{"forward", "reverse", "finite-difference", "detached"};
  for (OpAttribute attribute : std::vector<OpAttribute>{
           {.key = {"inner_lr", 0.1, "learning rate of the virtual step"}},
           {.key = {"lambda", 0.3, "weight of the driver loss", {}, 0}},
           {.key = {"driver_target", targets[0], "what the difficulties are pulled to", targets}},
           {.key = {"loss", "cross-entropy",
                    "of the train batch: a name, or {\"name\": .., its own keys}"},
           .object = true},
           {.key = {"estimator", estimators[0], "route of the meta-gradient", estimators}}}) {
    all.push_back(std::move(attribute));
  }
  return all;
}

}  // namespace

std::vector<OpEntry> meta_gradient_ops() {
  const std::string input = "[B, 3, H, W] (toy: [B, 2])";
  OpSignature listed{{{"model.NAME", OpKind::constant, "parameters; buffers may be left out"},
                      {"net.fc1.weight", OpKind::constant, "[hidden, C]"},
                      {"net.fc2.weight", OpKind::constant, "[hidden, hidden]"},
                      {"net.fc3.weight", OpKind::constant, "[C, hidden]"},
                      {"net.fcN.bias", OpKind::constant, "all three or none", true},
                      {"train.x", OpKind::constant, input},
                      {"train.y", OpKind::integer, "[B]"},
                      {"meta.x", OpKind::constant, input},
                      {"meta.y", OpKind::integer, "[M]"},
                      {"class_accuracy", OpKind::constant, "[C], between 0 and 1"},
                      {"class_counts", OpKind::count, "[C], for losses with a prior", true}},
                     {{"meta_loss", "[], of the virtual step", false},
                      {"driver_loss", "[]", false},
                      {"class_weights", "[C], mean 1", false},
                      {"grad.class_weights", "[C], d meta_loss / d class_weights", false},
                      {"grad.net.NAME", "of meta_loss + lambda * driver_loss", false}}};
  return {{.name = op_name,
           .doc = "virtual step, meta loss and exact meta-gradient of Difficulty-Net",
           .signature = std::move(listed),
           .attributes = attributes(),
           .run = run,
           .example = golden_toy_example,
           .expand = expand,
           .passed_over = "num_batches_tracked"}};
}

}  // namespace ek
