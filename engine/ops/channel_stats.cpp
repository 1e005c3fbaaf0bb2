// Per-channel mean and biased variance, the first half of batch normalisation.
#include <array>

#include "engine/ops/norm_run.h"

namespace ek::ops {
namespace {

constexpr std::string_view op_name = "channel_stats";

class ChannelStatsOp final : public Op {
 public:
  ChannelStatsOp(const Tensor& y, const Tensor& mean) : y_(y), mean_(mean) {}
  std::string_view name() const override { return op_name; }

  Tensors vjp(const Tensors& cotangents, const Needs& needs) const override {
    return vjp_onto(cotangents, needs, {Tensor()});
  }

  // Normalisation has sent a cotangent to y before the statistics do: one pass writes the sum,
  // in place where nobody else looks at it.
  bool adds_onto() const override { return true; }
  Tensors vjp_onto(const Tensors& cotangents, const Needs&, Tensors partial) const override {
    const Tensor &y = y_.get(), &mean = mean_.get();
    const Tensor dmean = or_zeros(cotangents[0], mean), dvar = or_zeros(cotangents[1], mean);
    const Tensor dy_in = std::exchange(partial[0], Tensor());
    Tensor dy = dy_in.defined() && dy_in.unique() ? dy_in : empty_like(y);
    run_norm("channel_stats_vjp", y, 2, [&]<class B, class T>() {
      using A = kernels::Acc<T>;
      kernels::channel_stats_vjp<B, T>(current_stream(), rows_of(y), y.shape().back(), y.data<T>(),
                                       mean.data<A>(), dmean.data<A>(), dvar.data<A>(),
                                       dy_in ? dy_in.data<T>() : nullptr, dy.output<T>());
    });
    return {dy};
  }

  Tensors jvp(const Tensors& tangents) const override {
    const Tensor &y = y_.get(), &mean = mean_.get();
    Tensor mean_tangent = empty_like(mean), var_tangent = empty_like(mean);
    run_norm("channel_stats_jvp", y, 2, [&]<class B, class T>() {
      using A = kernels::Acc<T>;
      kernels::channel_stats_jvp<B, T>(current_stream(), rows_of(y), y.shape().back(), y.data<T>(),
                                       mean.data<A>(), tangents[0].data<T>(),
                                       mean_tangent.output<A>(), var_tangent.output<A>(),
                                       norm_workspace<B, T>(y));
    });
    return {mean_tangent, var_tangent};
  }

  bool fused() const override { return true; }
  Tensors inputs() const override { return {y_.get()}; }
  Tensors compose(const Tensors& inputs) const override {
    const std::int64_t rows = rows_of(inputs[0]), channels = inputs[0].shape().back();
    const DType wide = accumulation_dtype(inputs[0].dtype());
    const Tensor y = reshape(cast(inputs[0], wide), {rows, channels});
    const Tensor mean = affine(sum_to(y, {1, channels}), 1.0 / double(rows));
    const Tensor centred = sub(y, broadcast_to(mean, y.shape()));
    const Tensor var = affine(sum_to(square(centred), {1, channels}), 1.0 / double(rows));
    return {reshape(mean, {channels}), reshape(var, {channels})};
  }

 private:
  static Tensor or_zeros(const Tensor& t, const Tensor& like) {
    return t ? t : Tensor::zeros(like.shape(), like.dtype(), like.device());
  }
  Saved y_, mean_;
};

}  // namespace

ChannelStats channel_stats(const Tensor& y) {
  require_rows(op_name, y);
  const Shape channels{y.shape().back()};
  const DType wide = accumulation_dtype(y.dtype());
  ChannelStats stats{Tensor::empty(channels, wide, y.device()),
                     Tensor::empty(channels, wide, y.device())};
  run_norm(op_name, y, 1, [&]<class B, class T>() {
    using A = kernels::Acc<T>;
    kernels::channel_stats_forward<B, T>(current_stream(), rows_of(y), channels[0], y.data<T>(),
                                         stats.mean.output<A>(), stats.var.output<A>(),
                                         norm_workspace<B, T>(y));
  });
  record(std::array{y}, std::array{stats.mean, stats.var},
         [&] { return std::make_unique<ChannelStatsOp>(y, stats.mean); });
  return stats;
}

}  // namespace ek::ops
