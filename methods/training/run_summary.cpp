#include "methods/training/run_summary.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ek {
namespace {

std::string data_line(const RunPlan& plan) {
  const nlohmann::json& limits = plan.recipe.at("eval.groups");
  const std::int64_t above = limits.at(0), below = limits.at(1);
  const auto groups = class_groups(plan.split.class_counts, above, below);
  const auto number = [&](ClassGroup group) { return std::ranges::count(groups, group); };
  const auto absent = number(ClassGroup::absent);
  return fmt::format(
      "data: {} of {} training images used, {} held out, {} test images; {} classes{}: {} many "
      "(> {}), {} medium, {} few (< {})",
      plan.split.train_index.size(), plan.source.train.count(), plan.split.meta_index.size(),
      plan.source.test.count(), plan.source.num_classes(),
      absent > 0 ? fmt::format(", {} without training images", absent) : "",
      number(ClassGroup::many), above, number(ClassGroup::medium), number(ClassGroup::few), below);
}

std::string model_line(const RunPlan& plan) {
  const double epochs =
      double(plan.batches.step(plan.steps).first) / double(plan.batches.epoch_length());
  return fmt::format("model: {}, {} parameters; {} steps of {} images, {:.1f} epochs",
                     plan.model.name(), parameter_count(plan.model), plan.steps,
                     plan.batches.batch_size(), epochs);
}

}  // namespace

std::int64_t parameter_count(const Model& model) {
  std::int64_t count = 0;
  for (const ParameterSpec& spec : model.parameters()) count += spec.shape.numel();
  return count;
}

std::vector<std::string> run_summary(const RunPlan& plan) {
  std::vector<std::string> lines{data_line(plan), model_line(plan)};
  for (const std::string& note : plan.source.notes) lines.push_back("note: " + note);
  const auto there = count_labels(plan.source.train.labels, plan.source.num_classes());
  std::string warning = profile_warning(there, plan.split, "--set data.profile=none");
  if (!warning.empty()) lines.push_back(std::move(warning));
  return lines;
}

}  // namespace ek
