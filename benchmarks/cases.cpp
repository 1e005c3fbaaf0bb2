#include "benchmarks/cases.h"

#include <iterator>

#include "kernels/error.h"

namespace ek::bench {

std::string Case::name() const {
  return fmt::format("{}/{}/{}/{}", family, shape, name_of(precision), version);
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (const auto family :
       {conv_cases, norm_conv_cases, norm_cases, dense_cases, image_cases, optim_cases}) {
    std::vector<Case> cases = family();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

const std::vector<Layer>& resnet32_layers() {
  const auto conv = [](std::int64_t size, std::int64_t in, std::int64_t out, std::int64_t stride) {
    return kernels::Conv2dShape{128, size, size, in, out, 3, 3, stride, stride, 1, 1};
  };
  static const std::vector<Layer> layers{
      {"3-16@32x32", conv(32, 3, 16, 1), true}, {"16-16@32x32", conv(32, 16, 16, 1)},
      {"16-32@32x32s2", conv(32, 16, 32, 2)},   {"32-32@16x16", conv(16, 32, 32, 1)},
      {"32-64@16x16s2", conv(16, 32, 64, 2)},   {"64-64@8x8", conv(8, 64, 64, 1)}};
  return layers;
}

}  // namespace ek::bench
