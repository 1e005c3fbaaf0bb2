// softmax_cross_entropy per sample, and the classification losses of the recipes.
#include <cmath>

#include "apps/op/families.h"
#include "engine/ops.h"
#include "methods/losses/loss.h"

namespace ek {
namespace {

void require_logits(const std::string& op, const Tensor& logits, const Tensor& labels) {
  require(logits.rank() == 2 && logits.numel() > 0,
          "{}: logits expected [B, C], not empty, came {}", op, file_shape(logits));
  require(labels.shape() == Shape{logits.size(0)},
          "{}: labels expected [{}] for logits {}, came {}", op, logits.size(0),
          logits.shape().str(), file_shape(labels));
}

void require_per_class(const std::string& op, const char* name, const Tensor& x,
                       const Tensor& logits) {
  require(x.shape() == Shape{logits.size(1)}, "{}: {} expected [{}] for logits {}, came {}", op,
          name, logits.size(1), logits.shape().str(), file_shape(x));
}

// The prior is added and the weights are multiplied by ops of their own, so that both have
// derivatives; in the fused loss they would be constants.
std::vector<NamedTensor> run_softmax_cross_entropy(const OpCall& call) {
  const std::string op = "softmax_cross_entropy";
  const Tensor &logits = call.at("logits"), &labels = call.at("labels");
  require_logits(op, logits, labels);
  Tensor adjusted = logits;
  if (const Tensor prior = call.find("log_prior")) {
    require_per_class(op, "log_prior", prior, logits);
    const Tensor row = ops::affine(prior, call.number("adjustment_scale"));
    adjusted =
        ops::add(logits, ops::broadcast_to(ops::reshape(row, {1, logits.size(1)}), logits.shape()));
  }
  ops::SoftmaxLossOptions options;
  options.label_smoothing = call.number("label_smoothing");
  Tensor losses = ops::softmax_cross_entropy(adjusted, labels, options);
  if (const Tensor weight = call.find("class_weight")) {
    require_per_class(op, "class_weight", weight, logits);
    losses = ops::mul(losses, ops::take(weight, labels));
  }
  return {{"losses", losses}};
}

OpExample softmax_example(std::uint64_t seed) {
  return {{{"logits", random_normal({4, 3}, seed, 0)},
           {"labels", random_labels(4, 3, seed, 1)},
           {"log_prior",
            Tensor::from(std::vector<double>{std::log(0.8), std::log(0.16), std::log(0.04)}, {3})},
           {"class_weight", random_uniform({3}, seed, 2, 0.5, 1.5)}},
          {{"label_smoothing", 0.1}, {"adjustment_scale", 1.5}}};
}

OpEntry softmax_entry() {
  return {.name = "softmax_cross_entropy",
          .doc =
              "cross-entropy of logits + adjustment_scale * log_prior against the smoothed one-hot "
              "target, times class_weight[label]",
          .signature = {{{"logits", OpKind::differentiable, "[B, C]"},
                         {"labels", OpKind::integer, "[B]"},
                         {"log_prior", OpKind::differentiable, "[C]", true},
                         {"class_weight", OpKind::differentiable, "[C]", true}},
                        {{"losses", "[B]"}}},
          .attributes = {{.key = {"label_smoothing",
                                  0.0,
                                  "share of the target spread evenly over all classes",
                                  {},
                                  0,
                                  1}},
                         {.key = {"adjustment_scale", 1.0, "factor of log_prior"}}},
          .run = run_softmax_cross_entropy,
          .example = softmax_example};
}

bool is_matrix(const LossArgument& argument) {
  return argument.shape == "[B, C]";
}

std::vector<NamedTensor> run_loss(const LossEntry& entry, const OpCall& call) {
  const std::string op = "loss:" + entry.name;
  std::vector<LossInputs::Entry> inputs;
  Tensor logits;
  for (const LossArgument& argument : entry.arguments) {
    const Tensor& given = call.at(argument.name);
    inputs.emplace_back(argument.name, given);
    if (!is_matrix(argument)) continue;
    require_logits(op, given, call.at("labels"));
    if (logits) {
      require(logits.shape() == given.shape(), "{}: {} expected {}, came {}", op, argument.name,
              logits.shape().str(), file_shape(given));
    }
    logits = given;
  }
  const Tensor counts = call.find("class_counts");
  std::vector<std::int64_t> class_counts(std::size_t(logits.size(1)), 1);
  if (counts) {
    require_per_class(op, "class_counts", counts, logits);
    const auto values = counts.span<std::int64_t>();
    class_counts.assign(values.begin(), values.end());
  }
  const Loss loss = Loss::make(entry.name, call.attributes, class_counts, call.dtype, call.device);
  return {{"loss", loss.scalar(LossInputs(std::move(inputs)))}};
}

OpExample loss_example(const LossEntry& entry, std::uint64_t seed) {
  OpExample example;
  example.tensors = {{"class_counts", Tensor::from(std::vector<std::int64_t>{100, 20, 5}, {3})}};
  std::uint32_t drawn = 0;
  for (const LossArgument& argument : entry.arguments) {
    example.tensors.emplace_back(argument.name, is_matrix(argument)
                                                    ? random_normal({4, 3}, seed, drawn)
                                                    : random_labels(4, 3, seed, drawn));
    ++drawn;
  }
  return example;
}

OpKind kind_of(const LossArgument& argument) {
  switch (argument.kind) {
    case LossArgument::Kind::differentiable:
      return OpKind::differentiable;
    case LossArgument::Kind::constant:
      return OpKind::constant;
    case LossArgument::Kind::labels:
      return OpKind::integer;
  }
  return OpKind::constant;
}

OpEntry op_of(const LossEntry& loss) {
  std::vector<OpAttribute> attributes;
  for (KeySpec key : loss.keys) {
    key.path = key.path.substr(std::string_view("loss.").size());
    attributes.push_back({.key = std::move(key)});
  }
  attributes.push_back({.key = {"normalizer", "mean_batch", "how weighted losses become one number",
                                normalizer_names()}});
  OpSignature signature{{}, {{"loss", "[], a scalar"}}};
  for (const LossArgument& argument : loss.arguments) {
    signature.arguments.push_back({argument.name, kind_of(argument), argument.shape});
  }
  signature.arguments.push_back(
      {"class_counts", OpKind::count, "[C], training images per class", !loss.needs_counts});
  return {.name = "loss:" + loss.name,
          .doc = loss.doc,
          .signature = std::move(signature),
          .attributes = std::move(attributes),
          .run = [&loss](const OpCall& call) { return run_loss(loss, call); },
          .example = [&loss](std::uint64_t seed) { return loss_example(loss, seed); }};
}

}  // namespace

std::vector<OpEntry> loss_ops() {
  std::vector<OpEntry> entries{softmax_entry()};
  for (const LossEntry& loss : loss_registry()) entries.push_back(op_of(loss));
  return entries;
}

}  // namespace ek
