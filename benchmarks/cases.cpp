#include "benchmarks/cases.h"

#include <iterator>

#include "kernels/base/error.h"
#include "kernels/base/versions.h"

namespace ek::bench {
namespace {

// The function that a case calls, where that is not its family.
std::string function_of(const Case& what) {
  if (what.family == "softmax_cross_entropy") return "softmax_loss";
  if (what.family == "add" || what.family == "gate") return "binary";
  if (what.family == "relu") return "unary";
  if (what.family == "augment") return "augment_images";
  if (what.family == "sgd") return "sgd_step";
  if (what.family == "adam") return "adam_step";
  if (what.family.starts_with("subsample_")) {
    return what.family == "subsample_forward" ? "subsample_pad_forward" : "subsample_pad_backward";
  }
  return what.family;
}

// The same case with one of its function's versions. What a call makes on its way is unaffected:
// versions share packs and workspaces.
Case with_version(const Case& what, std::string_view version) {
  Case result = what;
  result.version = version;
  result.make = [make = what.make, function = function_of(what), version](Operands& o) -> Call {
    const kernels::ScopedVersion scope(function, version);
    Call call = make(o);
    if (!call) return call;
    return [=] {
      const kernels::ScopedVersion named(function, version);
      call();
    };
  };
  return result;
}

}  // namespace

std::string Case::precision_name() const {
  if (products == kernels::FloatProducts::tf32) return "tf32";
  return std::string(name_of(precision));
}

std::string Case::name() const {
  return fmt::format("{}/{}/{}/{}", family, shape, precision_name(), version);
}

std::vector<Case> all_cases(const Device& device, std::int64_t batch) {
  std::vector<Case> all;
  for (const auto family : {conv_cases, norm_conv_cases, norm_cases, dense_cases, image_cases,
                            pool_cases, optim_cases, pack_cases}) {
    for (Case& what : family(device, batch)) {
      all.push_back(std::move(what));
      if (device.kind == Device::Kind::cpu || all.back().version != "evenkeel") continue;
      const Case ours = all.back();
      for (const auto version : kernels::versions_of(function_of(ours))) {
        all.push_back(with_version(ours, version));
      }
    }
  }
  return all;
}

std::vector<Layer> resnet32_layers(std::int64_t batch) {
  const auto conv = [&](std::int64_t size, std::int64_t in, std::int64_t out, std::int64_t stride) {
    return kernels::Conv2dShape{batch, size, size, in, out, 3, 3, stride, stride, 1, 1};
  };
  return {{"3-16@32x32", conv(32, 3, 16, 1), true}, {"16-16@32x32", conv(32, 16, 16, 1)},
          {"16-32@32x32s2", conv(32, 16, 32, 2)},   {"32-32@16x16", conv(16, 32, 32, 1)},
          {"32-64@16x16s2", conv(16, 32, 64, 2)},   {"64-64@8x8", conv(8, 64, 64, 1)}};
}

}  // namespace ek::bench
