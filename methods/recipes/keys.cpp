#include <algorithm>
#include <initializer_list>

#include "data/pipelines.h"
#include "data/sampler.h"
#include "engine/io/strict_json.h"
#include "engine/io/text.h"
#include "methods/recipes/catalogue.h"
#include "models/registry.h"

namespace ek {
namespace {

using nlohmann::json;

constexpr double seed_limit = 18446744073709551615.0;  // as limit_text writes it

std::vector<std::string> names_of(const std::vector<Declared>& entries) {
  std::vector<std::string> names;
  for (const Declared& entry : entries) names.push_back(entry.name);
  return names;
}

std::vector<KeySpec> data_keys(std::int64_t meta_per_class) {
  std::vector<std::string> normalizations = normalization_names();
  normalizations.insert(normalizations.begin(), "");
  return {
      {"doc", "", "one line about the recipe"},
      {"seed", 0, "seed of initialisation, sampling and augmentation", {}, 0, seed_limit},
      {"batch_size", 128, "images of a training batch", {}, 1},

      {"data.source", "", "the data set where --data names none; empty: --data is needed"},
      {"data.profile",
       "exponential",
       "how class counts fall; none takes every image, n_max a cap",
       {"exponential", "step", "none"}},
      {"data.imbalance", 100.0, "training images of the largest class over the smallest", {}, 1},
      {"data.n_max",
       0,
       "training images of the largest class; 0: the smallest class of the source less "
       "meta_per_class",
       {},
       0},
      {"data.subset",
       "ldam",
       "which images: ldam shuffles each class, first takes file order",
       {"ldam", "first"}},
      {"data.subset_seed", 0, "seed of the ldam shuffle", {}, 0, 4294967295.0},
      {"data.meta_per_class",
       meta_per_class,
       "images per class held out for validation and meta batches; 10 by default for methods that "
       "need them",
       {},
       0},
      {"data.augment", "cifar-basic",
       fmt::format("training pipeline: {}", fmt::join(pipeline_names(), ", "))},
      {"data.normalize", "", "normalisation constants; empty: the pipeline's own", normalizations},
      {"data.sampler", "shuffled", "order of the training images", sampler_names()},
      {"data.last_batch",
       "wrap",
       "the rest of an epoch: wrapped into the next, kept as a small batch, or dropped",
       {"wrap", "keep", "drop"}},
  };
}

std::vector<KeySpec> model_keys() {
  return {
      {"model.name", "resnet32", "the network", model_names()},
      {"model.num_classes", 0, "outputs; 0: as many as the data has classes", {}, 0},
      {"model.classifier", "linear", "the last layer", {"linear", "cosine"}},
      {"model.cosine_scale", 1.0, "factor of a cosine classifier's logits", {}, 0},
      {"model.init", "", "safetensors file with starting weights, as --init; empty: random"},

      {"method.name", "supervised", "how training goes", names_of(catalogue().methods)},
      {"method.preset",
       "paper",
       "published merges in the settings of the method's published code, below the recipe's own",
       {"paper", "published"}},

      {"loss.name", "cross-entropy", "the training loss", names_of(catalogue().losses)},
      {"loss.normalizer", "mean_batch", "how weighted losses become one number",
       catalogue().normalizers},
  };
}

std::vector<KeySpec> optim_keys() {
  const json group = {
      {"names", {""}}, {"lr_factor", 1.0}, {"weight_decay", nullptr}, {"frozen", false}};
  return {
      {"optim.name", "sgd", "the optimiser", {"sgd"}},
      {"optim.lr", 0.1, "learning rate, which the schedule varies", {}, 0},
      {"optim.momentum", 0.9, "momentum", {}, 0, 1, true},
      {"optim.nesterov", false, "Nesterov's form of momentum"},
      {"optim.weight_decay", 5e-4, "L2 weight decay, on every parameter", {}, 0},
      {.path = "optim.groups",
       .fallback = json::array(),
       .doc = "parameters with settings of their own: names (patterns), lr_factor, weight_decay, "
              "frozen",
       .minimum = 0,
       .element = group},

      {"meta_optim.name", "adam", "optimiser of a meta-network", {"adam"}},
      {"meta_optim.lr", 1e-3, "its learning rate, constant", {}, 0},
      {"meta_optim.beta1", 0.9, "decay of the mean of gradients", {}, 0, 1, true},
      {"meta_optim.beta2", 0.999, "decay of the mean of their squares", {}, 0, 1, true},
      {.path = "meta_optim.eps",
       .fallback = 1e-8,
       .doc = "added to the root of the latter",
       .minimum = 0,
       .exclusive = true},
      {"meta_optim.weight_decay", 1e-4, "L2 weight decay of the meta-network", {}, 0},
  };
}

std::vector<KeySpec> schedule_keys() {
  return {
      {"schedule.unit", "epoch", "what lengths count", {"iteration", "epoch"}},
      {"schedule.length", 200, "of the whole run, in units", {}, 1},
      {"schedule.kind",
       "multistep",
       "course of the learning rate after the warm-up",
       {"constant", "multistep", "cosine"}},
      {"schedule.warmup", 0, "units of linear warm-up", {}, 0},
      {"schedule.warmup_start", 0.0, "learning rate at its start", {}, 0},
      {"schedule.warmup_kind",
       "ramp",
       "ramp starts at warmup_start, count ends at optim.lr",
       {"ramp", "count"}},
      {.path = "schedule.milestones",
       .fallback = json::array(),
       .doc = "multistep: where the rate falls, in units",
       .minimum = 1,
       .element = 0},
      {"schedule.gamma", 0.1, "multistep: factor at each milestone", {}, 0},
      {.path = "schedule.gammas",
       .fallback = json::array(),
       .doc = "multistep: a factor of optim.lr for each milestone, instead of gamma",
       .minimum = 0,
       .element = 0.0},
      {"schedule.final_lr", 0.0, "cosine: learning rate at the end", {}, 0},
      {"schedule.cosine_begin", 0, "cosine: unit where the half period begins", {}, 0},

      {"eval.every", 0, "steps between evaluations; 0: at the end alone", {}, 0},
      {"eval.bins", 15, "bins of the calibration error", {}, 1, 10000},
      {.path = "eval.groups",
       .fallback = {many_above, few_below},
       .doc = "many is above the first number of training images, few below the second",
       .minimum = 0,
       .element = 0},
      {"checkpoint.every", 0, "steps between checkpoints; 0: at the end alone", {}, 0},
      {"log.every", 50, "steps between lines of metrics.jsonl", {}, 1},
  };
}

// Puts `keys` behind the last of `all` that starts with `prefix`; a key that is there already is
// replaced where it is.
void declare(std::vector<KeySpec>& all, const std::vector<KeySpec>& keys, std::string_view prefix) {
  for (const KeySpec& key : keys) {
    const auto known = std::ranges::find(all, key.path, &KeySpec::path);
    if (known != all.end()) {
      *known = key;
      continue;
    }
    auto behind = all.end();
    while (behind != all.begin() && !(behind - 1)->path.starts_with(prefix)) --behind;
    all.insert(behind == all.begin() ? all.end() : behind, key);
  }
}

}  // namespace

const Declared& find_declared(const std::vector<Declared>& entries, std::string_view kind,
                              std::string_view name) {
  const auto found = std::ranges::find(entries, name, &Declared::name);
  if (found != entries.end()) return *found;
  const std::vector<std::string> names = names_of(entries);
  fail("{} '{}' is not known (known: {}){}", kind, printable(name), fmt::join(names, ", "),
       did_you_mean(name, names));
}

std::vector<KeySpec> recipe_keys(const std::string& method, const std::string& loss) {
  const Declared& method_entry = find_declared(catalogue().methods, "method", method);
  std::vector<KeySpec> all;
  for (const auto& keys :
       {data_keys(method_entry.needs_meta ? 10 : 0), model_keys(), optim_keys(), schedule_keys()}) {
    all.insert(all.end(), keys.begin(), keys.end());
  }
  declare(all, method_entry.keys, "method.");
  declare(all, find_declared(catalogue().losses, "loss", loss).keys, "loss.");
  return all;
}

}  // namespace ek
