// The second half of batch normalisation: normalise, scale, add a shortcut, ReLU, in one pass.
#include <array>

#include "engine/ops/norm_run.h"

namespace ek::ops {
namespace {

constexpr std::string_view op_name = "norm_act";
enum Input : std::size_t { y_in, mean_in, var_in, gamma_in, beta_in, shortcut_in };

template <class T>
const T* pointer(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

template <class T>
kernels::NormParams<T> arguments(const Tensor& y, const NormActOptions& options, const Tensor& mean,
                                 const Tensor& var, const Tensor& gamma, const Tensor& beta) {
  using A = kernels::Acc<T>;
  return {rows_of(y),     y.shape().back(), options.eps,     options.relu,
          mean.data<A>(), var.data<A>(),    gamma.data<A>(), beta.data<A>()};
}

class NormAct final : public Op {
 public:
  NormAct(const Tensors& inputs, const Tensor& act, const NormActOptions& options)
      : options_(options) {
    for (const Tensor& input : inputs) inputs_.emplace_back(input);
    // Mask of the ReLU, read from what was stored.
    if (options.relu) act_ = Saved(act);
  }
  std::string_view name() const override { return op_name; }

  Tensors vjp(const Tensors& cotangents, const Needs& needs) const override {
    const Tensor &y = get(y_in), &dact = cotangents[0];
    Tensors d(inputs_.size());
    for (Input i : {y_in, mean_in, var_in, gamma_in, beta_in}) d[i] = empty_like(get(i));
    const bool wants_shortcut = inputs_.size() > shortcut_in && needs[shortcut_in];
    if (wants_shortcut) d[shortcut_in] = options_.relu ? empty_like(y) : dact;
    const bool writes_shortcut = wants_shortcut && options_.relu;
    run_norm("norm_act_vjp", y, writes_shortcut ? 5 : 4, [&]<class B, class T>() {
      using A = kernels::Acc<T>;
      const kernels::NormActCotangents<T> out{
          d[y_in].output<T>(),     writes_shortcut ? d[shortcut_in].output<T>() : nullptr,
          d[mean_in].output<A>(),  d[var_in].output<A>(),
          d[gamma_in].output<A>(), d[beta_in].output<A>()};
      kernels::norm_act_vjp<B, T>(current_stream(), params<T>(), y.data<T>(), mask<T>(),
                                  dact.data<T>(), out, norm_workspace<B, T>(y));
    });
    return d;
  }

  Tensors jvp(const Tensors& tangents) const override {
    const Tensor& y = get(y_in);
    Tensor out = empty_like(y);
    run_norm("norm_act_jvp", y, 4, [&]<class B, class T>() {
      using A = kernels::Acc<T>;
      const bool has_shortcut = tangents.size() > shortcut_in;
      const kernels::NormActTangents<T> t{
          pointer<T>(tangents[y_in]),
          has_shortcut ? pointer<T>(tangents[shortcut_in]) : nullptr,
          pointer<A>(tangents[mean_in]),
          pointer<A>(tangents[var_in]),
          pointer<A>(tangents[gamma_in]),
          pointer<A>(tangents[beta_in])};
      kernels::norm_act_jvp<B, T>(current_stream(), params<T>(), y.data<T>(), mask<T>(), t,
                                  out.output<T>());
    });
    return {out};
  }

  bool fused() const override { return true; }
  Tensors inputs() const override {
    Tensors result;
    for (const Saved& input : inputs_) result.push_back(input.get());
    return result;
  }
  Tensors compose(const Tensors& in) const override {
    const DType stored = in[y_in].dtype(), wide = accumulation_dtype(stored);
    const Shape rows{rows_of(in[y_in]), in[y_in].shape().back()};
    auto widened = [&](const Tensor& x) { return reshape(cast(x, wide), rows); };
    auto per_row = [&](const Tensor& v) { return broadcast_to(reshape(v, {1, rows[1]}), rows); };
    const Tensor scale = mul(in[gamma_in], rsqrt(affine(in[var_in], 1, options_.eps)));
    const Tensor centred = sub(widened(in[y_in]), per_row(in[mean_in]));
    Tensor out = add(mul(centred, per_row(scale)), per_row(in[beta_in]));
    if (in.size() > shortcut_in) out = add(out, widened(in[shortcut_in]));
    // ReLU by the mask of the fast rules: a sum rounded otherwise must not change it.
    if (options_.relu) out = gate(out, widened(stop_gradient(act_.get())));
    return {cast(reshape(out, in[y_in].shape()), stored)};
  }

 private:
  const Tensor& get(std::size_t i) const { return inputs_[i].get(); }
  template <class T>
  const T* mask() const {
    return options_.relu ? act_.get().data<T>() : nullptr;
  }
  template <class T>
  kernels::NormParams<T> params() const {
    return arguments<T>(get(y_in), options_, get(mean_in), get(var_in), get(gamma_in),
                        get(beta_in));
  }

  std::vector<Saved> inputs_;  // in the order of Input; the shortcut only if there is one
  Saved act_;
  NormActOptions options_;
};

}  // namespace

Tensor norm_act(const Tensor& y, const ChannelStats& stats, const Tensor& gamma, const Tensor& beta,
                const Tensor& shortcut, const NormActOptions& options) {
  require_norm(op_name, y, stats, gamma, beta, shortcut, options);
  Tensors inputs{y, stats.mean, stats.var, gamma, beta};
  if (shortcut) inputs.push_back(shortcut);
  Tensor act = empty_like(y);
  run_norm(op_name, y, shortcut ? 3 : 2, [&]<class B, class T>() {
    kernels::norm_act_forward<B, T>(current_stream(),
                                    arguments<T>(y, options, stats.mean, stats.var, gamma, beta),
                                    y.data<T>(), pointer<T>(shortcut), act.output<T>());
  });
  record(inputs, std::array{act}, [&] { return std::make_unique<NormAct>(inputs, act, options); });
  return act;
}

}  // namespace ek::ops
