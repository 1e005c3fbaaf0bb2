#include "methods/training/checkpoint_model.h"

#include <algorithm>
#include <set>

#include "kernels/base/error.h"
#include "models/layout.h"
#include "models/registry.h"

namespace ek {
namespace {

bool passed_over(std::string_view name) {
  return name.starts_with("train.") || name.ends_with("num_batches_tracked");
}

// The shape in file layout: OHWI becomes OIHW.
Shape file_shape(const ParameterSpec& spec) {
  const Shape& s = spec.shape;
  return s.rank() == 4 ? Shape{s[0], s[3], s[1], s[2]} : s;
}

// What keeps the file from being `model`, in words; empty when it fits.
std::vector<std::string> differences(const SafetensorsFile& file, const Model& model) {
  std::vector<std::string> out;
  std::set<std::string_view> known;
  const auto check = [&](const ParameterSpec& spec) {
    known.insert(spec.name);
    const Tensor* tensor = file.find(spec.name);
    const Shape shape = file_shape(spec);
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

Params gather(const SafetensorsFile& file, const std::vector<ParameterSpec>& specs, DType dtype) {
  std::vector<Params::Entry> entries;
  for (const ParameterSpec& spec : specs) {
    entries.push_back({spec.name, file.find(spec.name)->to(dtype)});
  }
  return from_file_layout(Params(std::move(entries)));
}

}  // namespace

TrainState load_model_tensors(const SafetensorsFile& file, const Model& model, DType dtype,
                              const std::string& source) {
  const auto faults = differences(file, model);
  if (!faults.empty()) refuse(faults, model, source);
  return {gather(file, model.parameters(), dtype), gather(file, model.buffers(), dtype)};
}

std::vector<NamedTensor> model_tensors(const TrainState& state) {
  std::vector<NamedTensor> out;
  for (const Params& part : {state.params, state.buffers}) {
    for (const auto& [name, tensor] : to_file_layout(part.to(Device{}))) {
      out.emplace_back(name, tensor);
    }
  }
  return out;
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
