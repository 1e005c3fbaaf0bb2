#pragma once
#include <string_view>

#include "engine/ops/common.h"
#include "kernels/norm.h"

namespace ek::ops {

// What the two halves of batch normalisation share: tensors [..., channels] are rows of channels.
inline std::int64_t rows_of(const Tensor& y) {
  return y.numel() / y.shape().back();
}

inline void require_rows(std::string_view op, const Tensor& y) {
  require_floating(op, y, "y");
  require(y.rank() >= 1 && y.numel() > 0, "{}: y must be [..., channels] and not empty, got {}", op,
          y.shape().str());
}

// The arguments of a normalisation fit each other, or an Error that names `op`.
inline void require_norm(std::string_view op, const Tensor& y, const ChannelStats& stats,
                         const Tensor& gamma, const Tensor& beta, const Tensor& shortcut,
                         const NormActOptions& options) {
  require_rows(op, y);
  require(options.eps >= 0, "{}: eps must not be negative, got {}", op, options.eps);
  const Shape channels{y.shape().back()};
  const DType wanted = accumulation_dtype(y.dtype());
  auto require_channels = [&](std::string_view name, const Tensor& t) {
    require_floating(op, t, name);
    require(t.shape() == channels && t.dtype() == wanted,
            "{}: {} must be {} {} beside y {} {}, got {} {}", op, name, name_of(wanted),
            channels.str(), name_of(y.dtype()), y.shape().str(), name_of(t.dtype()),
            t.shape().str());
    require_device(op, y, t, name);
  };
  require_channels("mean", stats.mean);
  require_channels("var", stats.var);
  require_channels("gamma", gamma);
  require_channels("beta", beta);
  if (shortcut) require_same(op, y, shortcut);
}

// Runs a kernel that makes `passes` reads or writes of tensors like y, under its profile scope.
template <class Kernel>
void run_norm(std::string_view name, const Tensor& y, double passes, Kernel&& kernel) {
  ProfileScope profile(
      name, [&] { return y.shape().str(); }, 4.0 * double(y.numel()), passes * double(y.bytes()));
  dispatch_activation(name, y, kernel);
}

template <class B, class T>
WorkspaceBuffer norm_workspace(const Tensor& y) {
  return {y.device(), kernels::norm_workspace_bytes<B, T>(rows_of(y), y.shape().back())};
}

}  // namespace ek::ops
