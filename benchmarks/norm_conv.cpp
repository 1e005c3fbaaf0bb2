// norm_conv_*: the fused unit, and as version "separate" the kernels that it replaces.
#include "kernels/norm_conv.h"

#include <algorithm>

#include "benchmarks/backends.h"
#include "benchmarks/cases.h"
#include "benchmarks/conv_calls.h"
#include "kernels/elementwise.h"

namespace ek::bench {
namespace {

using namespace kernels;

// As in ResNet-32: units with a shortcut keep act, which is the next shortcut and has a cotangent;
// the others do not. The stem convolves images and has neither.
struct Kind {
  NormConvShape shape;
  bool shortcut, stem;

  bool keeps_act() const { return shortcut; }
  std::int64_t in_rows() const { return shape.conv.input_size() / shape.conv.in_c; }
  std::int64_t out_rows() const { return shape.conv.output_size() / shape.conv.out_c; }
};

// The operands that a version of a pass reads or writes; separate kernels pass act on in memory.
template <class T>
struct Unit {
  Unit(const Kind& kind, Operands& o, bool derivative, bool separate) {
    const Conv2dShape& s = kind.shape.conv;
    const auto in = [&](bool wanted) { return wanted ? o.random<T>(s.input_size()) : nullptr; };
    const bool has_act = !kind.stem && (separate || kind.keeps_act());
    const auto channels = [&] { return o.random<float>(s.in_c); };
    y = in(true), shortcut = in(kind.shortcut), act = in(has_act), dact = in(derivative && has_act);
    dy = in(derivative && !kind.stem), dshortcut = in(derivative && kind.shortcut);
    out = o.random<T>(s.output_size());
    dout = derivative ? o.random<T>(s.output_size()) : nullptr;
    mean = channels(), var = o.positive(s.in_c), gamma = channels(), beta = channels();
    dmean = channels(), dvar = channels(), dgamma = channels(), dbeta = channels();
    out_mean = o.random<float>(s.out_c), out_var = o.positive(s.out_c);
    dout_mean = o.random<float>(s.out_c), dout_var = o.random<float>(s.out_c);
  }
  NormConvInput<T> input() const { return {y, shortcut, mean, var, gamma, beta}; }
  NormParams<T> params(const Kind& k) const {
    return {k.in_rows(), k.shape.conv.in_c, k.shape.eps, k.shape.relu, mean, var, gamma, beta};
  }

  T *y, *shortcut, *act, *dact, *dy, *dshortcut, *out, *dout;
  float *mean, *var, *gamma, *beta, *dmean, *dvar, *dgamma, *dbeta;
  float *out_mean, *out_var, *dout_mean, *dout_var;
};

template <class B, class T>
Workspace unit_workspace(Operands& o, const Kind& k, NormConvPass pass) {
  return o.workspace(norm_conv_workspace_bytes<B, T>(k.shape, pass));
}

template <class B, class T>
Call forward(const Kind& k, Operands& o) {
  const Stream q = o.stream();
  const Unit<T> u(k, o, false, false);
  const ConvPack weight = make_pack<B, T>(o, k.shape.conv, Conv2dPass::forward);
  const Workspace workspace = unit_workspace<B, T>(o, k, NormConvPass::forward);
  const NormConvOutput<T> output{k.keeps_act() ? u.act : nullptr, u.out, u.out_mean, u.out_var};
  return [=] { norm_conv_forward<B, T>(q, k.shape, u.input(), weight, output, workspace); };
}

template <class B, class T>
Call vjp(const Kind& k, Operands& o) {
  const Stream q = o.stream();
  const Unit<T> u(k, o, true, false);
  const ConvPack weight = make_pack<B, T>(o, k.shape.conv, Conv2dPass::backward_data);
  float* dweight = o.random<float>(k.shape.conv.weight_size());
  const Workspace workspace = unit_workspace<B, T>(o, k, NormConvPass::vjp);
  const bool keeps = k.keeps_act();
  const NormConvSaved<T> saved{keeps ? u.act : nullptr, u.out, u.out_mean};
  const NormConvCotangents<T> cotangents{keeps ? u.dact : nullptr, u.dout, u.dout_mean, u.dout_var};
  const NormConvGradients<T> gradients{
      k.stem ? nullptr : u.dy, u.dshortcut, u.dmean, u.dvar, u.dgamma, u.dbeta, dweight};
  return [=] {
    norm_conv_vjp<B, T>(q, k.shape, u.input(), saved, weight, cotangents, gradients, workspace);
  };
}

template <class B, class T>
Call jvp(const Kind& k, Operands& o) {
  const Stream q = o.stream();
  const Unit<T> u(k, o, true, false);
  const ConvPack weight = make_pack<B, T>(o, k.shape.conv, Conv2dPass::forward);
  const ConvPack weight_tangent = make_pack<B, T>(o, k.shape.conv, Conv2dPass::forward);
  const Workspace workspace = unit_workspace<B, T>(o, k, NormConvPass::jvp);
  const bool keeps = k.keeps_act();
  const NormConvSaved<T> saved{keeps ? u.act : nullptr, u.out, u.out_mean};
  const NormConvTangents<T> tangents{
      k.stem ? nullptr : u.dy, u.dshortcut, u.dmean, u.dvar, u.dgamma, u.dbeta, weight_tangent};
  const NormConvOutput<T> output{keeps ? u.dact : nullptr, u.dout, u.dout_mean, u.dout_var};
  return [=] {
    norm_conv_jvp<B, T>(q, k.shape, u.input(), saved, weight, tangents, output, workspace);
  };
}

template <class B, class T>
Workspace norm_workspace(const Kind& k, Operands& o) {
  return o.workspace(std::max(norm_workspace_bytes<B, T>(k.in_rows(), k.shape.conv.in_c),
                              norm_workspace_bytes<B, T>(k.out_rows(), k.shape.conv.out_c)));
}

// The kernels of norm.h and conv.h one after another. The stem has no norm_act.
template <class B, class T>
Call separate_forward(const Kind& k, Operands& o) {
  const Stream q = o.stream();
  const Unit<T> u(k, o, false, true);
  const Conv2dShape s = k.shape.conv;
  const ConvPack weight = make_pack<B, T>(o, s, Conv2dPass::forward);
  const Workspace of_norm = norm_workspace<B, T>(k, o);
  const Workspace of_conv = conv_workspace<B, T>(o, s, Conv2dPass::forward);
  return [=] {
    if (!k.stem) norm_act_forward<B, T>(q, u.params(k), u.y, u.shortcut, u.act);
    conv2d_forward<B, T>(q, s, k.stem ? u.y : u.act, weight, u.out, of_conv);
    channel_stats_forward<B, T>(q, k.out_rows(), s.out_c, u.out, u.out_mean, u.out_var, of_norm);
  };
}

template <class B, class T>
Call separate_vjp(const Kind& k, Operands& o) {
  const Stream q = o.stream();
  const Unit<T> u(k, o, true, true);
  const Conv2dShape s = k.shape.conv;
  const ConvPack weight = make_pack<B, T>(o, s, Conv2dPass::backward_data);
  float* dweight = o.random<float>(s.weight_size());
  T* dconv = o.random<T>(s.output_size());
  T* dact = k.stem ? nullptr : o.random<T>(s.input_size());
  const Workspace of_norm = norm_workspace<B, T>(k, o);
  const Workspace of_data = conv_workspace<B, T>(o, s, Conv2dPass::backward_data);
  const Workspace of_weights = conv_workspace<B, T>(o, s, Conv2dPass::backward_weights);
  return [=] {
    channel_stats_vjp<B, T>(q, k.out_rows(), s.out_c, u.out, u.out_mean, u.dout_mean, u.dout_var,
                            u.dout, dconv);
    conv2d_backward_weights<B, T>(q, s, k.stem ? u.y : u.act, dconv, dweight, of_weights);
    if (k.stem) return;
    conv2d_backward_data<B, T>(q, s, dconv, weight, dact, of_data);
    if (k.keeps_act()) {
      binary<B, T>(q, Binary::add, s.input_size(), dact, u.dact, dact);
    }
    norm_act_vjp<B, T>(q, u.params(k), u.y, u.act, dact,
                       {u.dy, u.dshortcut, u.dmean, u.dvar, u.dgamma, u.dbeta}, of_norm);
  };
}

template <class B, class T>
Call separate_jvp(const Kind& k, Operands& o) {
  const Stream q = o.stream();
  const Unit<T> u(k, o, true, true);
  const Conv2dShape s = k.shape.conv;
  const ConvPack weight = make_pack<B, T>(o, s, Conv2dPass::tangent);
  const ConvPack weight_tangent = make_pack<B, T>(o, s, Conv2dPass::tangent);
  const Workspace of_norm = norm_workspace<B, T>(k, o);
  const Workspace of_conv = conv_workspace<B, T>(o, s, Conv2dPass::tangent);
  return [=] {
    if (!k.stem) {
      norm_act_jvp<B, T>(q, u.params(k), u.y, u.act,
                         {u.dy, u.dshortcut, u.dmean, u.dvar, u.dgamma, u.dbeta}, u.dact);
    }
    conv2d_tangent<B, T>(q, s, k.stem ? u.y : u.act, weight, k.stem ? nullptr : u.dact,
                         weight_tangent, u.dout, of_conv);
    channel_stats_jvp<B, T>(q, k.out_rows(), s.out_c, u.out, u.out_mean, u.dout, u.dout_mean,
                            u.dout_var, of_norm);
  };
}

// What the fused unit has to read and write: tensors of the size of its input and of its output.
template <class T>
double bytes_of(const Kind& k, NormConvPass pass) {
  const Conv2dShape& s = k.shape.conv;
  double in = 0, out = 0, weights = sizeof(T);
  switch (pass) {
    case NormConvPass::forward:  // y, out; shortcut, act
      in = k.shortcut ? 3 : 1, out = 1;
      break;
    case NormConvPass::vjp:  // y, dy, out, dout; act, dact, dshortcut
      in = k.stem ? 1 : k.shortcut ? 5 : 2, out = 2;
      weights = k.stem ? sizeof(float) : sizeof(T) + sizeof(float);
      break;
    case NormConvPass::jvp:  // y, y', out, out'; act, shortcut', act'
      in = k.stem ? 1 : k.shortcut ? 5 : 2, out = 2;
      weights = (k.stem ? 1 : 2) * sizeof(T);
      break;
  }
  return (in * double(s.input_size()) + out * double(s.output_size())) * sizeof(T) +
         weights * double(s.weight_size());
}

template <class B, class T>
void add_cases(const std::string& shape, const Kind& k, NormConvPass pass,
               std::vector<Case>& cases) {
  struct Version {
    const char* name;
    Call (*make)(const Kind&, Operands&);
  };
  static constexpr const char* names[] = {"norm_conv_forward", "norm_conv_vjp", "norm_conv_jvp"};
  static constexpr Version versions[][2] = {
      {{"evenkeel", forward<B, T>}, {"separate", separate_forward<B, T>}},
      {{"evenkeel", vjp<B, T>}, {"separate", separate_vjp<B, T>}},
      {{"evenkeel", jvp<B, T>}, {"separate", separate_jvp<B, T>}}};
  const int convolutions = pass == NormConvPass::forward || k.stem ? 1 : 2;
  for (const Version& version : versions[int(pass)]) {
    cases.push_back({names[int(pass)], shape, precision_of<T>(), version.name,
                     convolutions * k.shape.conv.flops(), bytes_of<T>(k, pass),
                     [k, make = version.make](Operands& o) { return make(k, o); },
                     k.shape.conv.products});
  }
}

template <class B>
std::vector<Case> cases_of(std::int64_t batch) {
  std::vector<Case> cases;
  for (const NormConvPass pass : {NormConvPass::forward, NormConvPass::vjp, NormConvPass::jvp}) {
    for (const Layer& layer : resnet32_layers(batch)) {
      for (const bool shortcut : {false, true}) {
        if (layer.stem && shortcut) continue;
        Kind kind{{layer.shape, 1e-5, true, !layer.stem}, shortcut, layer.stem};
        const std::string shape = std::string(layer.name) + (shortcut ? ",shortcut" : "");
        for (const FloatProducts products : float_products<B>()) {
          kind.shape.conv.products = products;
          add_cases<B, float>(shape, kind, pass, cases);
        }
        kind.shape.conv.products = FloatProducts::exact;
        add_cases<B, bf16>(shape, kind, pass, cases);
      }
    }
  }
  return cases;
}

}  // namespace

std::vector<Case> norm_conv_cases(const Device& device, std::int64_t batch) {
  return on_backend(device, [&]<class B>() { return cases_of<B>(batch); });
}

}  // namespace ek::bench
