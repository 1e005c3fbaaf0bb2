#include "methods/session/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/base/error.h"
#include "models/layout.h"
#include "models/registry.h"

namespace ek {
namespace {

// What is not of the model: state of training, other parts, PyTorch's counters.
bool passed_over(std::string_view name) {
  return name.starts_with("train.") || name.find('/') != std::string_view::npos ||
         name.ends_with("num_batches_tracked");
}

// The shape in file layout: OHWI becomes OIHW.
Shape file_shape(const Shape& s) {
  return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s;
}

// What keeps the file from being `model`, in words; empty when it fits.
std::vector<std::string> differences(const SafetensorsFile& file, const Model& model) {
  std::vector<std::string> out;
  std::set<std::string_view> known;
  const auto check = [&](const ParameterSpec& spec) {
    known.insert(spec.name);
    const Tensor* tensor = file.find(spec.name);
    const Shape shape = file_shape(spec.shape);
    if (!tensor) {
      out.push_back(fmt::format("{} {} is missing", spec.name, shape.str()));
    } else if (tensor->shape() != shape) {
      out.push_back(
          fmt::format("{} is {}, expected {}", spec.name, tensor->shape().str(), shape.str()));
    } else if (!is_floating(tensor->dtype())) {
      out.push_back(
          fmt::format("{} is {}, expected floating point", spec.name, name_of(tensor->dtype())));
    }
  };
  for (const ParameterSpec& spec : model.parameters()) check(spec);
  for (const ParameterSpec& spec : model.buffers()) check(spec);
  for (const auto& [name, tensor] : file.tensors) {
    if (known.contains(name) || passed_over(name)) continue;
    out.push_back(fmt::format("{} {} is not in the model", name, tensor.shape().str()));
  }
  return out;
}

[[noreturn]] void refuse(const std::vector<std::string>& faults, const Model& model,
                         const std::string& source) {
  constexpr std::size_t shown = 3;
  const auto end = faults.begin() + std::int64_t(std::min(shown, faults.size()));
  fail("{}: does not fit model {} with {} classes: {}{}", source, model.name(), model.num_classes(),
       fmt::join(faults.begin(), end, "; "),
       faults.size() > shown ? fmt::format("; and {} more", faults.size() - shown) : "");
}

// A set of tensors of a checkpoint: what its names begin with, and where its numbers go.
struct Group {
  std::string prefix;
  const Params* params;
};

std::vector<Group> groups_of(const State& state, Scope scope) {
  std::vector<Group> groups;
  for (const Part& part : state.parts()) {
    if (scope == Scope::inference && !part.decl.at_inference) continue;
    const std::string& name = part.decl.name;
    const std::string prefix = name == "model"          ? ""
                               : part.decl.at_inference ? name + "/"
                                                        : "train." + name + "/";
    groups.push_back({prefix, &part.params});
    if (!part.buffers.empty()) groups.push_back({prefix, &part.buffers});
  }
  return groups;
}

std::string optimizer_prefix(const Part& part) {
  return "train.optim." + part.decl.name + "/";
}

// The file's tensors for these names, in engine layout and the dtype of `like`.
Params found_in(const SafetensorsFile& file, const Group& group, const std::string& source) {
  std::vector<Params::Entry> entries;
  for (const auto& [name, tensor] : *group.params) {
    const Tensor* stored = file.find(group.prefix + name);
    const Shape shape = file_shape(tensor.shape());
    require(stored, "{}: it lacks {}{} {}", source, group.prefix, name, shape.str());
    require(stored->shape() == shape && is_floating(stored->dtype()),
            "{}: {}{} is {} {}, {} of floating point expected", source, group.prefix, name,
            name_of(stored->dtype()), stored->shape().str(), shape.str());
    entries.push_back({name, stored->to(tensor.dtype())});
  }
  return from_file_layout(Params(std::move(entries)));
}

}  // namespace

std::vector<NamedTensor> file_tensors(const Params& params, const std::string& prefix) {
  std::vector<NamedTensor> out;
  if (params.empty()) return out;
  for (const auto& [name, tensor] : to_file_layout(params.to(Device{}))) {
    out.emplace_back(prefix + name, tensor);
  }
  return out;
}

std::vector<NamedTensor> checkpoint_tensors(const State& state, Scope scope) {
  std::vector<NamedTensor> out;
  for (const Group& group : groups_of(state, scope)) {
    for (NamedTensor& tensor : file_tensors(*group.params, group.prefix)) {
      out.push_back(std::move(tensor));
    }
  }
  if (scope == Scope::inference) return out;
  for (const Part& part : state.parts()) {
    if (!part.learns()) continue;
    for (const auto& [name, tensor] : part.optimizer->state()) {
      out.emplace_back(optimizer_prefix(part) + name, tensor);
    }
  }
  return out;
}

void require_finite(const std::vector<NamedTensor>& tensors, const std::string& when) {
  for (const auto& [name, tensor] : tensors) {
    if (!is_floating(tensor.dtype())) continue;
    const std::vector<double> values = tensor.to_vector();
    const auto bad = std::ranges::find_if(values, [](double x) { return !std::isfinite(x); });
    require(bad == values.end(),
            "training: {} holds {} {}: nothing is saved, the last checkpoint stays; a lower "
            "optim.lr or a warm-up may help",
            name, bad == values.end() ? 0 : *bad, when);
  }
}

void load_checkpoint(State& state, const SafetensorsFile& file, Scope scope,
                     const std::string& source) {
  // All of it is looked at before anything changes.
  std::vector<Params> found;
  for (const Group& group : groups_of(state, scope)) found.push_back(found_in(file, group, source));
  std::vector<NamedTensors> optimizers;
  if (scope == Scope::everything) {
    for (const Part& part : state.parts()) {
      NamedTensors& tensors = optimizers.emplace_back();
      const std::string prefix = optimizer_prefix(part);
      for (const auto& [name, tensor] : file.tensors) {
        if (name.starts_with(prefix)) tensors.emplace_back(name.substr(prefix.size()), tensor);
      }
      if (!part.learns()) continue;
      // A trial: an optimiser takes nothing that does not fit.
      make_optimizer(std::get<Learns>(part.decl.motion).optimizer)
          ->load_state(tensors, part.learned);
    }
  }
  std::size_t next = 0;
  for (const Group& group : groups_of(state, scope)) {
    Params to = *group.params;
    assign(to, found[next++].to(to.device()));
  }
  if (scope == Scope::inference) return;
  for (std::size_t i = 0; i < optimizers.size(); ++i) {
    Part& part = state.mutable_part(state.parts()[i].decl.name);
    if (part.learns()) part.optimizer->load_state(optimizers[i], part.learned);
  }
}

void load_model(State& state, const SafetensorsFile& file, const Model& model,
                const std::string& source) {
  const auto faults = differences(file, model);
  if (!faults.empty()) refuse(faults, model, source);
  const Part& part = state["model"];
  for (const Params* params : {&part.params, &part.buffers}) {
    if (params->empty()) continue;
    Params to = *params;
    assign(to, found_in(file, {"", params}, source).to(to.device()));
  }
}

std::unique_ptr<const Model> infer_model(const SafetensorsFile& file, const std::string& source,
                                         const std::string& name, std::int64_t num_classes) {
  const Tensor* head = file.find("linear.weight");
  if (num_classes == 0) {
    require(head && head->rank() == 2 && head->size(0) >= 1,
            "{}: expected the classifier linear.weight [classes, features], got {}", source,
            head ? head->shape().str() : "no such tensor");
    num_classes = head->size(0);
  }
  const char* classifier = file.find("linear.bias") ? "linear" : "cosine";
  std::unique_ptr<const Model> nearest;
  std::vector<std::string> fewest;
  for (const std::string& candidate :
       name.empty() ? model_names() : std::vector<std::string>{name}) {
    auto model = make_model(candidate, num_classes, classifier);
    auto faults = differences(file, *model);
    if (faults.empty()) return model;
    if (!nearest || faults.size() < fewest.size()) {
      nearest = std::move(model);
      fewest = std::move(faults);
    }
  }
  refuse(fewest, *nearest, source);
}

}  // namespace ek
