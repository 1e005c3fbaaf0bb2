#include "methods/session/checkpoint.h"

#include <algorithm>
#include <filesystem>
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

// The classifier, in every network of the registry.
bool is_head(std::string_view name) {
  return name.starts_with("linear.");
}

Params without_head(const Params& params) {
  std::vector<Params::Entry> entries;
  for (const Params::Entry& entry : params) {
    if (!is_head(entry.name)) entries.push_back(entry);
  }
  return Params(std::move(entries));
}

// What keeps the file from being `model`, in words; empty when it fits.
std::vector<std::string> differences(const SafetensorsFile& file, const Model& model,
                                     bool without_head = false) {
  std::vector<std::string> out;
  std::set<std::string_view> known;
  const auto check = [&](const ParameterSpec& spec) {
    if (without_head && is_head(spec.name)) return;
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
    if (known.contains(name) || passed_over(name) || (without_head && is_head(name))) continue;
    out.push_back(fmt::format("{} {} is not in the model", name, tensor.shape().str()));
  }
  return out;
}

[[noreturn]] void refuse(const std::vector<std::string>& faults, const Model& model,
                         const std::string& source, const std::string& hint = "") {
  constexpr std::size_t shown = 3;
  const auto end = faults.begin() + std::int64_t(std::min(shown, faults.size()));
  fail("{}: does not fit model {} with {} classes: {}{}{}", source, model.name(),
       model.num_classes(), fmt::join(faults.begin(), end, "; "),
       faults.size() > shown ? fmt::format("; and {} more", faults.size() - shown) : "", hint);
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
                const std::string& source, bool new_head) {
  const auto faults = differences(file, model, new_head);
  if (!faults.empty()) {
    const bool only_head = !new_head && differences(file, model, true).empty();
    refuse(faults, model, source,
           only_head ? "; --init-head new takes the rest and starts the classifier afresh" : "");
  }
  const Part& part = state["model"];
  for (const Params* params : {&part.params, &part.buffers}) {
    if (params->empty()) continue;
    const Params from = new_head ? without_head(*params) : *params;
    Params to = from;
    assign(to, found_in(file, {"", &from}, source).to(to.device()));
  }
}

std::string weights_file(const std::string& path) {
  namespace fs = std::filesystem;
  if (!fs::is_directory(path)) return path;
  for (const char* name : {"best.safetensors", "last.safetensors"}) {
    if (fs::exists(fs::path(path) / name)) return (fs::path(path) / name).string();
  }
  fail("{}: a folder with neither best.safetensors nor last.safetensors", path);
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
