#include "kernels/base/tuning.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "kernels/base/error.h"
#include "kernels/base/versions.h"

namespace ek::kernels {
namespace {

using Names = std::array<std::string_view, Call::most_sizes>;

struct Sizes {
  std::string_view function;
  Names names;  // the rest is empty
};

constexpr Names kConv{"batch",    "in_h",     "in_w",     "in_c",  "out_c", "kernel_h",
                      "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "groups"};
constexpr std::size_t kConvNames = 12;

constexpr Names conv_and(std::initializer_list<std::string_view> more) {
  Names names = kConv;
  std::size_t at = kConvNames;
  for (const std::string_view name : more) names[at++] = name;
  return names;
}

constexpr Names kChannels{"rows", "channels", "aligned"};
constexpr Names kHead{"batch", "pixels", "channels", "classes", "aligned"};
constexpr Names kRows{"rows", "classes"};

// Sorted by name.
constexpr Sizes kSizes[] = {
    {"channel_stats_forward", kChannels},
    {"channel_stats_jvp", kChannels},
    {"channel_stats_vjp", kChannels},
    {"conv2d_backward_data", kConv},
    {"conv2d_backward_weights", kConv},
    {"conv2d_forward", kConv},
    {"conv2d_tangent", conv_and({"both"})},
    {"gemm", {"m", "n", "k", "transpose_a", "transpose_b"}},
    {"head_backward", kHead},
    {"head_forward", kHead},
    {"head_jvp", kHead},
    {"head_weight_gradients", kHead},
    {"norm_act_forward", kChannels},
    {"norm_act_jvp", kChannels},
    {"norm_act_vjp", kChannels},
    {"norm_conv_forward", conv_and({"normalizes", "relu", "shortcut", "kept", "statistics"})},
    {"norm_conv_jvp", conv_and({"normalizes", "relu", "shortcut", "kept", "statistics",
                                "of_activation", "of_weight"})},
    {"norm_conv_vjp",
     conv_and({"normalizes", "relu", "shortcut", "kept", "statistics", "of_input"})},
    {"softmax", kRows},
    {"softmax_loss", kRows},
    {"sum_to", {"kept", "summed", "inner_stride"}},
};
static_assert(std::ranges::is_sorted(kSizes, {}, &Sizes::function));

constexpr auto kFunctions = [] {
  std::array<std::string_view, std::size(kSizes)> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kSizes[i].function;
  return names;
}();

std::atomic<const TuningTable*> in_force = nullptr;
thread_local CallTuner* tuner_of_thread = nullptr;

}  // namespace

std::span<const std::string_view> size_names(std::string_view function) {
  const auto it = std::ranges::find(kSizes, function, &Sizes::function);
  if (it == std::end(kSizes)) return {};
  return {it->names.begin(), std::ranges::find(it->names, std::string_view())};
}

std::span<const std::string_view> tuned_functions() {
  return kFunctions;
}

std::string describe(const Call& call) {
  std::string text =
      fmt::format("{} of {}{}", call.function, call_type_names[std::size_t(call.type)],
                  call.products == FloatProducts::tf32 ? ", tf32 products" : "");
  const auto names = size_names(call.function);
  for (std::size_t i = 0; i < names.size(); ++i) {
    text += fmt::format(", {} {}", names[i], call.sizes[i]);
  }
  return text;
}

TuningTable::TuningTable(std::vector<Choice> choices) : choices_(std::move(choices)) {
  std::ranges::sort(choices_, {}, &Choice::call);
  const auto twice = std::ranges::adjacent_find(choices_, {}, &Choice::call);
  require(twice == choices_.end(), "tuning: two entries for {}",
          twice == choices_.end() ? "" : describe(twice->call));
}

int TuningTable::find(const Call& call) const {
  const auto it = std::ranges::lower_bound(choices_, call, {}, &Choice::call);
  return it != choices_.end() && it->call == call ? it->version : -1;
}

ScopedTuning::ScopedTuning(const TuningTable* table) : before_(in_force.exchange(table)) {}
ScopedTuning::~ScopedTuning() {
  in_force = before_;
}

const TuningTable* tuning_in_force() {
  return in_force;
}

ScopedTuner::ScopedTuner(CallTuner* tuner) : before_(std::exchange(tuner_of_thread, tuner)) {}
ScopedTuner::~ScopedTuner() {
  tuner_of_thread = before_;
}

int chosen_version(const Call& call, unsigned served, int rule, const Repeat& again) {
  if (tuner_of_thread) {
    CallTuner& tuner = *tuner_of_thread;
    const ScopedTuner none(nullptr);
    return tuner.choose(call, served, rule, again);
  }
  const TuningTable* table = in_force.load(std::memory_order_acquire);
  const int version = table ? table->find(call) : -1;
  if (version < 0) return rule;
  require((served >> version & 1u) != 0, "tuning: version '{}' does not serve {}",
          versions_of(call.function)[std::size_t(version)], describe(call));
  return version;
}

}  // namespace ek::kernels
