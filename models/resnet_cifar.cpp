#include "models/resnet_cifar.h"

#include <cmath>

#include "engine/profile/profiler.h"

namespace ek {
namespace {

// A batch norm that is still to be applied to the convolution output it belongs to.
struct Pending {
  ops::PreNorm conv_output;
  std::string norm;  // "layer1.0.bn2"
  Tensor shortcut;   // undefined: none
};

}  // namespace

ResNetCifar::ResNetCifar(std::string name, int blocks_per_stage, std::int64_t num_classes,
                         ClassifierKind classifier, double cosine_scale,
                         kernels::FloatProducts products)
    : Model(std::move(name), num_classes, features),
      classifier_(classifier, "linear", features, num_classes, cosine_scale),
      products_(products) {
  std::int64_t channels = 16;
  add_conv_norm("conv1", "bn1", 3, channels);
  for (int stage = 0; stage < 3; ++stage) {
    const std::int64_t out_channels = 16 << stage;
    for (int i = 0; i < blocks_per_stage; ++i) {
      const std::int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      const std::string prefix = fmt::format("layer{}.{}.", stage + 1, i);
      blocks_.push_back({prefix, out_channels, stride, stride == 1 && channels == out_channels});
      add_conv_norm(prefix + "conv1", prefix + "bn1", channels, out_channels);
      add_conv_norm(prefix + "conv2", prefix + "bn2", out_channels, out_channels);
      channels = out_channels;
    }
  }
  for (ParameterSpec& spec : classifier_.parameters()) parameters_.push_back(std::move(spec));
}

void ResNetCifar::add_conv_norm(const std::string& conv, const std::string& norm,
                                std::int64_t in_channels, std::int64_t out_channels) {
  const double deviation = std::sqrt(2.0 / double(9 * in_channels));
  parameters_.push_back(
      {conv + ".weight", {out_channels, 3, 3, in_channels}, Init::normal, deviation});
  parameters_.push_back({norm + ".weight", {out_channels}, Init::ones});
  parameters_.push_back({norm + ".bias", {out_channels}, Init::zeros});
  buffers_.push_back({norm + ".running_mean", {out_channels}, Init::zeros});
  buffers_.push_back({norm + ".running_var", {out_channels}, Init::ones});
}

Outputs ResNetCifar::forward(Weights& weights, const Tensor& x) const {
  require(x.defined() && x.rank() == 4 && x.size(3) == 3,
          "{}: x must be [batch, height, width, 3], got {}", name(),
          x.defined() ? x.shape().str() : "nothing");
  require(is_floating(x.dtype()), "{}: x must be of a floating-point dtype, got {} {}", name(),
          name_of(x.dtype()), x.shape().str());
  require_fits(name(), parameters(), weights.params(), x.dtype());
  require_fits(name(), buffers(), weights.buffers(), x.dtype());

  const MemoryScope memory(MemoryUse::activations);
  const ops::NormActOptions norm_relu{bn_eps, true};
  auto conv3x3 = [this](std::int64_t stride) {
    return ops::Conv2dOptions{.stride = {stride, stride}, .padding = {1, 1}, .products = products_};
  };
  auto gamma = [&](const Pending& p) { return weights[p.norm + ".weight"]; };
  auto beta = [&](const Pending& p) { return weights[p.norm + ".bias"]; };
  // Applies the pending batch norm, convolves with `prefix` + "convN", leaves the next one pending.
  // The activation is returned if `keep` asks for it.
  auto norm_conv = [&](Pending& p, const std::string& prefix, char n, std::int64_t stride,
                       bool keep) {
    const LayerScope layer(prefix, n == '1' ? "conv1" : "conv2");
    const std::string norm = prefix + "bn" + n;
    ops::NormConv unit = ops::norm_conv(p.conv_output, gamma(p), beta(p), p.shortcut, norm_relu,
                                        weights[prefix + "conv" + n + ".weight"], conv3x3(stride),
                                        weights.running(norm), keep);
    weights.note(norm, unit.out);
    p = {std::move(unit.out), norm, {}};
    return unit.activation;
  };

  auto stem = [&] {
    const LayerScope layer("conv1");
    return ops::conv_stats(x, weights["conv1.weight"], conv3x3(1), weights.running("bn1"));
  };
  Pending pending{stem(), "bn1", {}};
  weights.note("bn1", pending.conv_output);
  for (const Block& block : blocks_) {
    const Tensor input = norm_conv(pending, block.prefix, '1', block.stride, true);
    norm_conv(pending, block.prefix, '2', 1, false);
    const LayerScope layer(block.prefix, "shortcut");
    pending.shortcut =
        block.same_shape ? input : ops::subsample_pad(input, block.out_channels, block.stride);
  }
  auto last_activation = [&] {
    const LayerScope layer("pool");
    return ops::norm_act(pending.conv_output.y, pending.conv_output.stats, gamma(pending),
                         beta(pending), pending.shortcut, norm_relu);
  };
  const ops::PooledLinear head = classifier_.head(weights, last_activation());
  return {{"logits", head.logits}, {"features", head.features}};
}

}  // namespace ek
