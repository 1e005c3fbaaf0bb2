// The units that models are written on, composed of plain passes on the CPU (DESIGN 2.2).
#include "engine/ops/common.h"

namespace ek::ops {

Tensor batch_norm(const Tensor& y, const Tensor& gamma, const Tensor& beta, const Tensor& shortcut,
                  const NormActOptions& options) {
  return norm_act(y, channel_stats(y), gamma, beta, shortcut, options);
}

PreNorm conv_stats(const Tensor& x, const Tensor& weight, const Conv2dOptions& options,
                   const std::optional<ChannelStats>& running) {
  Tensor y = conv2d(x, weight, options);
  ChannelStats stats = running ? *running : channel_stats(y);
  return {std::move(y), std::move(stats)};
}

NormConv norm_conv(const PreNorm& in, const Tensor& gamma, const Tensor& beta,
                   const Tensor& shortcut, const NormActOptions& norm, const Tensor& weight,
                   const Conv2dOptions& conv, const std::optional<ChannelStats>& running) {
  Tensor activation = norm_act(in.y, in.stats, gamma, beta, shortcut, norm);
  PreNorm out = conv_stats(activation, weight, conv, running);
  return {std::move(activation), std::move(out)};
}

}  // namespace ek::ops
