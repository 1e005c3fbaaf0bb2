#include "data/pipelines.h"

#include <algorithm>
#include <array>

#include "kernels/base/error.h"

namespace ek {
namespace {

struct Normalization {
  const char* name;
  std::array<double, 3> mean, std;
};

const Normalization normalizations[] = {
    {"cifar-a", {0.4914, 0.4822, 0.4465}, {0.2023, 0.1994, 0.2010}},
    {"cifar-mwn", {125.3 / 255, 123.0 / 255, 113.9 / 255}, {63.0 / 255, 62.1 / 255, 66.7 / 255}},
    {"cifar-dn",
     {0.5070751592371323, 0.48654887331495095, 0.4409178433670343},
     {0.2673342858792401, 0.2564384629170883, 0.27615047132568404}},
    {"imagenet", {0.485, 0.456, 0.406}, {0.229, 0.224, 0.225}},
    {"inaturalist", {0.466, 0.471, 0.380}, {0.195, 0.194, 0.192}},
    {"half", {0.5, 0.5, 0.5}, {0.25, 0.25, 0.25}},
};

struct Pipeline {
  const char* name;
  std::int64_t reflect_pad, zero_pad;
  bool flip;
  const char* normalize;
};

const Pipeline pipelines[] = {
    {"cifar-basic", 0, 4, true, "cifar-a"}, {"cifar-reflect", 4, 0, true, "cifar-mwn"},
    {"cifar-cdb", 0, 4, true, "imagenet"},  {"cifar-dn-plain", 4, 4, true, "cifar-dn"},
    {"eval", 0, 0, false, "cifar-a"},
};

// In the spec, not in this version: refused as such, so that nobody looks for a typing error.
const char* const not_built[] = {"cifar-aa",   "cifar-dn-published", "large-basic", "large-dn",
                                 "inat-basic", "large-dive",         "eval-large"};

template <class Table>
std::vector<std::string> names_of(const Table& table) {
  std::vector<std::string> names;
  for (const auto& row : table) names.emplace_back(row.name);
  return names;
}

const Pipeline& find_pipeline(std::string_view name) {
  for (const Pipeline& p : pipelines) {
    if (name == p.name) return p;
  }
  const auto known = names_of(pipelines);
  require(std::find(std::begin(not_built), std::end(not_built), name) == std::end(not_built),
          "augment: pipeline {} is not in this version; it has {}", name, fmt::join(known, ", "));
  fail("augment: expected one of {}, got {}", fmt::join(known, ", "), name);
}

const Normalization& find_normalization(std::string_view name) {
  for (const Normalization& n : normalizations) {
    if (name == n.name) return n;
  }
  fail("normalize: expected one of {}, got {}", fmt::join(normalization_names(), ", "), name);
}

}  // namespace

kernels::AugmentSpec pipeline_spec(std::string_view name, std::string_view normalize,
                                   std::int64_t height, std::int64_t width) {
  const Pipeline& pipeline = find_pipeline(name);
  require(height > pipeline.reflect_pad && width > pipeline.reflect_pad,
          "augment: pipeline {} reflects {} pixels, images of {} x {} (width x height) are "
          "too small",
          name, pipeline.reflect_pad, width, height);
  const Normalization& constants =
      find_normalization(normalize.empty() ? pipeline.normalize : normalize);
  return {.height = height,
          .width = width,
          .reflect_pad = pipeline.reflect_pad,
          .zero_pad = pipeline.zero_pad,
          .flip = pipeline.flip,
          .mean = constants.mean,
          .std = constants.std};
}

kernels::AugmentSpec eval_spec(std::string_view name, std::string_view normalize,
                               std::int64_t height, std::int64_t width) {
  const std::string_view own = find_pipeline(name).normalize;
  return pipeline_spec("eval", normalize.empty() ? own : normalize, height, width);
}

std::vector<std::string> pipeline_names() {
  return names_of(pipelines);
}
std::vector<std::string> normalization_names() {
  return names_of(normalizations);
}

}  // namespace ek
