#include "kernels/base/versions.h"

#include <algorithm>
#include <array>
#include <vector>

#include "kernels/base/error.h"

namespace ek::kernels {
namespace {

struct Ladder {
  std::string_view function;
  std::array<std::string_view, 6> versions;  // the rest is empty
};

constexpr Ladder kLadders[] = {
    {"gemm", {"plain", "tiled", "mma"}},
    {"conv2d_forward", {"plain", "mma", "halo"}},
    {"conv2d_tangent", {"plain", "mma", "halo"}},
    {"conv2d_backward_data", {"plain", "mma", "halo"}},
    {"conv2d_backward_weights", {"plain", "mma"}},
    {"norm_conv_forward", {"plain", "fused", "lean"}},
    {"norm_conv_jvp", {"plain", "fused"}},
    {"norm_conv_vjp", {"plain", "fused", "joined", "lean"}},
    {"unary", {"plain", "packed"}},
    {"binary", {"plain", "packed"}},
    {"affine", {"plain", "packed"}},
    {"add_scaled", {"plain", "packed"}},
    {"fill", {"plain", "packed"}},
    {"convert", {"plain", "packed"}},
    {"channel_stats_forward", {"plain", "parts"}},
    {"channel_stats_vjp", {"plain", "rows"}},
    {"channel_stats_jvp", {"plain", "parts"}},
    {"norm_act_forward", {"plain", "rows"}},
    {"norm_act_vjp", {"plain", "parts"}},
    {"norm_act_jvp", {"plain", "rows"}},
    {"max_pool2d_forward", {"plain", "packed"}},
    {"max_pool2d_scatter", {"plain", "packed"}},
    {"avg_pool2d_forward", {"plain", "packed"}},
    {"avg_pool2d_backward", {"plain", "packed"}},
    {"global_avg_pool_forward", {"plain", "packed"}},
    {"global_avg_pool_backward", {"plain", "packed"}},
    {"subsample_pad_forward", {"plain", "packed"}},
    {"subsample_pad_backward", {"plain", "packed"}},
    {"broadcast", {"plain", "packed"}},
    {"take_rows", {"plain", "packed"}},
    {"augment_images", {"plain", "packed"}},
    {"softmax_loss", {"plain", "warp", "block"}},
    {"softmax", {"plain", "warp", "block"}},
    {"argmax_rows", {"plain", "warp", "block"}},
    {"sum_to", {"plain", "columns", "warp", "block"}},
    {"segment_sum", {"plain", "gathered"}},
    {"difficulty_forward", {"plain", "fused"}},
    {"difficulty_backward", {"plain", "fused"}},
    {"difficulty_step", {"plain", "fused"}},
    {"head_forward", {"plain", "warp", "block"}},
    {"head_backward", {"plain", "warp", "block"}},
    {"head_weight_gradients", {"plain", "warp", "block"}},
    {"head_jvp", {"plain", "warp", "block"}},
    {"head_predict", {"plain", "warp", "block"}},
    {"sgd_step", {"plain", "packed"}},
    {"adam_step", {"plain", "packed"}},
    {"write_packs", {"plain", "batched"}},
    {"sgd_step_and_pack", {"plain", "fused"}},
    {"adam_step_and_pack", {"plain", "fused"}},
    {"add_scaled_and_pack", {"plain", "fused"}},
};

constexpr auto kFunctions = [] {
  std::array<std::string_view, std::size(kLadders)> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kLadders[i].function;
  return names;
}();

struct Named {
  std::string_view function;  // of kLadders
  int version;
};
thread_local std::vector<Named> named;

}  // namespace

std::span<const std::string_view> versions_of(std::string_view function) {
  for (const Ladder& ladder : kLadders) {
    if (ladder.function != function) continue;
    const auto end = std::ranges::find(ladder.versions, std::string_view());
    return {ladder.versions.begin(), end};
  }
  return {};
}

std::span<const std::string_view> versioned_functions() {
  return kFunctions;
}

ScopedVersion::ScopedVersion(std::string_view function, std::string_view version) {
  const auto names = versions_of(function);
  const auto it = std::ranges::find(names, version);
  require(it != names.end(), "{}: no version '{}' (it has {})", function, version,
          names.empty() ? "one alone" : fmt::format("{}", fmt::join(names, ", ")));
  named.push_back({*std::ranges::find(kFunctions, function), int(it - names.begin())});
}

ScopedVersion::~ScopedVersion() {
  named.pop_back();
}

int named_version(std::string_view function) {
  for (auto it = named.rbegin(); it != named.rend(); ++it) {
    if (it->function == function) return it->version;
  }
  return -1;
}

}  // namespace ek::kernels
