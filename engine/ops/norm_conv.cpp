// The unit that models are written on: batch norm + ReLU + shortcut, convolution and
// the statistics of its output, fused into one kernel per pass.
#include "kernels/norm_conv.h"

#include <array>
#include <optional>

#include "engine/ops/conv_geometry.h"
#include "engine/ops/norm_run.h"
#include "engine/ops/weight_pack.h"

namespace ek::ops {
namespace {

using kernels::Conv2dPass;

enum Input : std::size_t { y_in, weight_in, mean_in, var_in, gamma_in, beta_in, shortcut_in };

// What one application is made of: its inputs (y and weight alone where nothing is normalised; the
// shortcut only if there is one), its outputs, and how to run kernels on them.
struct Unit {
  kernels::NormConvShape shape;
  Conv2dOptions conv;
  bool statistics;  // those of out are outputs
  bool keeps_act;   // act is one: never without normalisation

  // Outputs: act (if kept), out, then mean and var (if statistics).
  std::size_t out_index() const { return keeps_act ? 1 : 0; }
  std::size_t output_count() const { return out_index() + (statistics ? 3 : 1); }
};

template <class T>
const T* pointer(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}
template <class T>
T* output_pointer(Tensor& t) {
  return t ? t.output<T>() : nullptr;
}

const Tensor& at(const Tensors& tensors, std::size_t i) {
  static const Tensor none;
  return i < tensors.size() ? tensors[i] : none;
}

template <class T>
kernels::NormConvInput<T> arguments(const Tensors& in) {
  using A = kernels::Acc<T>;
  return {in[y_in].data<T>(),         pointer<T>(at(in, shortcut_in)), pointer<A>(at(in, mean_in)),
          pointer<A>(at(in, var_in)), pointer<A>(at(in, gamma_in)),    pointer<A>(at(in, beta_in))};
}

// Runs a kernel under its profile scope, with its workspace. `images` counts the tensors of the
// size of act that it reads or writes, `outputs` those of the size of out.
template <class Kernel>
void run(std::string_view name, kernels::NormConvPass pass, const Unit& unit, const Tensor& y,
         const std::vector<Conv2dPass>& convolutions, double images, double outputs,
         Kernel&& kernel) {
  const kernels::Conv2dShape& g = unit.shape.conv;
  const double bytes =
      (images * double(g.input_size()) + outputs * double(g.output_size())) * size_of(y.dtype());
  ProfiledConv conv{g, convolutions[0], y.dtype()};
  if (convolutions.size() > 1) conv.second_pass = convolutions[1];
  const double flops =
      double(convolutions.size()) * g.flops() * (conv.pass == Conv2dPass::tangent ? 2 : 1);
  ProfileScope profile(
      name, [&] { return conv_text(g); }, flops, bytes);
  profile.note(conv);
  dispatch_activation(name, y, [&]<class B, class T>() {
    const WorkspaceBuffer workspace(y.device(),
                                    kernels::norm_conv_workspace_bytes<B, T>(unit.shape, pass));
    kernel.template operator()<B, T>(workspace);
  });
}

Tensor zeros_like(const Tensor& like) {
  return Tensor::zeros(like.shape(), like.dtype(), like.device());
}

class NormConvOp final : public Op {
 public:
  NormConvOp(const Unit& unit, const Tensors& inputs, const Tensors& outputs) : unit_(unit) {
    for (const Tensor& input : inputs) inputs_.emplace_back(input);
    if (unit.keeps_act) act_ = Saved(outputs[0]);
    if (unit.statistics) {
      out_ = Saved(outputs[unit.out_index()]);
      out_mean_ = Saved(outputs[unit.out_index() + 1]);
    }
  }
  std::string_view name() const override { return "norm_conv"; }

  Tensors vjp(const Tensors& cotangents, const Needs& needs) const override {
    const Tensors in = inputs();
    const bool normalizes = unit_.shape.normalizes;
    const std::size_t first = unit_.out_index();
    const Tensor dact = unit_.keeps_act ? cotangents[0] : Tensor();
    const Tensor dout = cotangents[first] ? cotangents[first] : zero_out();
    Tensor dmean = at(cotangents, first + 1), dvar = at(cotangents, first + 2);
    if (dmean && !dvar) dvar = zeros_like(dmean);
    if (dvar && !dmean) dmean = zeros_like(dvar);

    Tensors d(in.size());
    d[weight_in] = empty_like(in[weight_in]);
    if (normalizes || needs[y_in]) d[y_in] = empty_like(in[y_in]);
    if (normalizes) {
      for (Input i : {mean_in, var_in, gamma_in, beta_in}) d[i] = empty_like(in[i]);
      if (in.size() > shortcut_in && needs[shortcut_in]) d[shortcut_in] = empty_like(in[y_in]);
    }
    std::vector<Conv2dPass> convolutions{Conv2dPass::backward_weights};
    if (d[y_in]) convolutions.push_back(Conv2dPass::backward_data);
    const double images =
        1 + unit_.keeps_act + (d[y_in] ? 1 : 0) + (dact ? 1 : 0) + (at(d, shortcut_in) ? 1 : 0);
    run("norm_conv_vjp", kernels::NormConvPass::vjp, unit_, in[y_in], convolutions, images,
        dmean ? 2 : 1, [&]<class B, class T>(const WorkspaceBuffer& workspace) {
          using A = kernels::Acc<T>;
          const kernels::NormConvCotangents<T> ct{pointer<T>(dact), dout.data<T>(),
                                                  pointer<A>(dmean), pointer<A>(dvar)};
          Tensor none;
          auto result = [&](std::size_t i) -> Tensor& { return i < d.size() ? d[i] : none; };
          const kernels::NormConvGradients<T> gradients{output_pointer<T>(d[y_in]),
                                                        output_pointer<T>(result(shortcut_in)),
                                                        output_pointer<A>(result(mean_in)),
                                                        output_pointer<A>(result(var_in)),
                                                        output_pointer<A>(result(gamma_in)),
                                                        output_pointer<A>(result(beta_in)),
                                                        d[weight_in].output<A>()};
          std::optional<WeightPack> pack;
          if (d[y_in]) {
            pack = WeightPack::of<B, T>(in[weight_in], unit_.shape.conv, Conv2dPass::backward_data);
          }
          kernels::norm_conv_vjp<B, T>(current_stream(), unit_.shape, arguments<T>(in), saved<T>(),
                                       pack ? kernels::ConvPack(*pack) : kernels::ConvPack(), ct,
                                       gradients, workspace);
        });
    return d;
  }

  Tensors jvp(const Tensors& tangents) const override {
    const Tensors in = inputs();
    const std::size_t first = unit_.out_index();
    bool to_act = false;
    for (std::size_t i = 0; i < tangents.size(); ++i) to_act |= i != weight_in && tangents[i];
    Tensors out(unit_.output_count());
    if (unit_.keeps_act && to_act) out[0] = empty_like(in[y_in]);
    out[first] = Tensor::empty(output_shape(unit_.shape.conv), in[y_in].dtype(), in[y_in].device());
    if (unit_.statistics) {
      out[first + 1] = empty_like(out_mean_.get());
      out[first + 2] = empty_like(out_mean_.get());
    }
    run("norm_conv_jvp", kernels::NormConvPass::jvp, unit_, in[y_in],
        {to_act && tangents[weight_in] ? Conv2dPass::tangent : Conv2dPass::forward},
        (unit_.shape.normalizes ? 2 : 1) + (to_act ? 1 : 0) + 2 * unit_.keeps_act,
        unit_.statistics ? 2 : 1, [&]<class B, class T>(const WorkspaceBuffer& workspace) {
          using A = kernels::Acc<T>;
          const kernels::Conv2dShape& g = unit_.shape.conv;
          constexpr auto pass = Conv2dPass::forward;
          const WeightPack weight = WeightPack::of<B, T>(in[weight_in], g, pass);
          std::optional<WeightPack> weight_tangent;
          if (tangents[weight_in])
            weight_tangent = WeightPack::of<B, T>(tangents[weight_in], g, pass);
          const kernels::NormConvTangents<T> t{
              pointer<T>(tangents[y_in]),
              pointer<T>(at(tangents, shortcut_in)),
              pointer<A>(at(tangents, mean_in)),
              pointer<A>(at(tangents, var_in)),
              pointer<A>(at(tangents, gamma_in)),
              pointer<A>(at(tangents, beta_in)),
              weight_tangent ? kernels::ConvPack(*weight_tangent) : kernels::ConvPack()};
          kernels::norm_conv_jvp<B, T>(current_stream(), unit_.shape, arguments<T>(in), saved<T>(),
                                       weight, t, outputs<T>(unit_, out), workspace);
        });
    return out;
  }

  bool fused() const override { return true; }
  Tensors inputs() const override {
    Tensors result;
    for (const Saved& input : inputs_) result.push_back(input.get());
    return result;
  }
  Tensors compose(const Tensors& in) const override {
    Tensors result;
    Tensor act = in[y_in];
    if (unit_.shape.normalizes) {
      act = norm_act(in[y_in], {in[mean_in], in[var_in]}, in[gamma_in], in[beta_in],
                     at(in, shortcut_in), {unit_.shape.eps, unit_.shape.relu});
      if (unit_.keeps_act) result.push_back(act);
    }
    result.push_back(conv2d(act, in[weight_in], unit_.conv));
    if (unit_.statistics) {
      const ChannelStats stats = channel_stats(result.back());
      result.push_back(stats.mean);
      result.push_back(stats.var);
    }
    return result;
  }

  // The forward pass itself.
  static Tensors run_forward(const Unit& unit, const Tensors& in) {
    const kernels::Conv2dShape& g = unit.shape.conv;
    const std::size_t first = unit.out_index();
    Tensors out(unit.output_count());
    if (unit.keeps_act) out[0] = empty_like(in[y_in]);
    out[first] = empty_like(in[y_in], output_shape(g));
    if (unit.statistics) {
      for (std::size_t i : {first + 1, first + 2}) out[i] = empty_like(in[weight_in], {g.out_c});
    }
    const double images = 1 + (in.size() > shortcut_in) + unit.keeps_act;
    run("norm_conv", kernels::NormConvPass::forward, unit, in[y_in], {Conv2dPass::forward}, images,
        1, [&]<class B, class T>(const WorkspaceBuffer& workspace) {
          const WeightPack pack = WeightPack::of<B, T>(in[weight_in], g, Conv2dPass::forward);
          kernels::norm_conv_forward<B, T>(current_stream(), unit.shape, arguments<T>(in), pack,
                                           outputs<T>(unit, out), workspace);
        });
    return out;
  }

 private:
  template <class T>
  static kernels::NormConvOutput<T> outputs(const Unit& unit, Tensors& out) {
    using A = kernels::Acc<T>;
    const std::size_t first = unit.out_index();
    return {unit.keeps_act ? output_pointer<T>(out[0]) : nullptr, out[first].output<T>(),
            unit.statistics ? out[first + 1].output<A>() : nullptr,
            unit.statistics ? out[first + 2].output<A>() : nullptr};
  }
  template <class T>
  kernels::NormConvSaved<T> saved() const {
    using A = kernels::Acc<T>;
    return {act_.defined() ? act_.get().data<T>() : nullptr,
            out_.defined() ? out_.get().data<T>() : nullptr,
            out_mean_.defined() ? out_mean_.get().data<A>() : nullptr};
  }
  Tensor zero_out() const {
    const Tensor& y = inputs_[y_in].get();
    return Tensor::zeros(output_shape(unit_.shape.conv), y.dtype(), y.device());
  }

  Unit unit_;
  std::vector<Saved> inputs_;  // in the order of Input
  Saved act_, out_, out_mean_;
};

// The outputs of the unit, recorded.
Tensors recorded(const Unit& unit, const Tensors& inputs) {
  const Tensors outputs = NormConvOp::run_forward(unit, inputs);
  record(inputs, outputs, [&] { return std::make_unique<NormConvOp>(unit, inputs, outputs); });
  return outputs;
}

ChannelStats statistics(const Tensors& outputs, std::size_t first,
                        const std::optional<ChannelStats>& running) {
  return running ? *running : ChannelStats{outputs[first + 1], outputs[first + 2]};
}

}  // namespace

Tensor batch_norm(const Tensor& y, const Tensor& gamma, const Tensor& beta, const Tensor& shortcut,
                  const NormActOptions& options) {
  return norm_act(y, channel_stats(y), gamma, beta, shortcut, options);
}

PreNorm conv_stats(const Tensor& x, const Tensor& weight, const Conv2dOptions& options,
                   const std::optional<ChannelStats>& running) {
  constexpr std::string_view op = "conv_stats";
  require_weight(op, x, weight, "x");
  const Unit unit{{conv_geometry(op, x.shape(), weight.shape(), options), 0, false, false},
                  options,
                  !running.has_value(),
                  false};
  const Tensors outputs = recorded(unit, {x, weight});
  return {outputs[0], statistics(outputs, 0, running)};
}

NormConv norm_conv(const PreNorm& in, const Tensor& gamma, const Tensor& beta,
                   const Tensor& shortcut, const NormActOptions& norm, const Tensor& weight,
                   const Conv2dOptions& conv, const std::optional<ChannelStats>& running,
                   bool keep_activation) {
  constexpr std::string_view op = "norm_conv";
  require_weight(op, in.y, weight, "y");
  require_norm(op, in.y, in.stats, gamma, beta, shortcut, norm);
  const Unit unit{{conv_geometry(op, in.y.shape(), weight.shape(), conv), norm.eps, norm.relu},
                  conv,
                  !running.has_value(),
                  keep_activation};
  Tensors inputs{in.y, weight, in.stats.mean, in.stats.var, gamma, beta};
  if (shortcut) inputs.push_back(shortcut);
  const Tensors outputs = recorded(unit, inputs);
  const std::size_t out = unit.out_index();
  return {keep_activation ? outputs[0] : Tensor(),
          {outputs[out], statistics(outputs, out, running)}};
}

}  // namespace ek::ops
