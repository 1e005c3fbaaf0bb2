// The linear head: mean over the pixels and classifier in one kernel per pass (kernels/head.h). The
// loss is an op of its own, as it belongs to the method.
#include <array>

#include "engine/autodiff/fused.h"
#include "engine/ops/common.h"
#include "kernels/elementwise.h"
#include "kernels/head.h"
#include "kernels/pool.h"

namespace ek::ops {
namespace {

constexpr std::string_view kName = "pooled_linear";

enum Input : std::size_t { x_in, weight_in, bias_in };
enum Output : std::size_t { features_out, logits_out };

kernels::HeadShape head_shape(const Tensor& x, const Tensor& weight) {
  return {x.size(0), x.size(1) * x.size(2), x.size(3), weight.size(0)};
}

template <class T>
const T* pointer(const Tensor& t) {
  return t ? t.data<T>() : nullptr;
}

// Runs a kernel under its profile scope; `images` counts the tensors like x that it reads or
// writes.
template <class Kernel>
void run(std::string_view name, const Tensor& x, const Tensor& weight, double images,
         Kernel&& kernel) {
  const kernels::HeadShape s = head_shape(x, weight);
  ProfileScope profile(
      name, [&] { return fmt::format("{} x {}", x.shape().str(), s.classes); },
      2.0 * double(s.batch) * double(s.classes) * double(s.channels) + double(x.numel()),
      images * double(x.bytes()) + double(weight.bytes()));
  dispatch_activation(name, x, [&]<class B, class T>() {
    const WorkspaceBuffer workspace(x.device(), kernels::head_workspace_bytes<B, T>(s));
    kernel.template operator()<B, T>(s, workspace);
  });
}

class PooledLinearOp final : public Op {
 public:
  PooledLinearOp(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& features)
      : x_(x), weight_(weight), bias_(bias), features_(features) {}
  std::string_view name() const override { return kName; }

  Tensors vjp(const Tensors& ct, const Needs& needs) const override {
    const Tensor x = x_.get(), weight = weight_.get(), features = features_.get();
    Tensors out(bias_.defined() ? 3 : 2);
    if (ct[logits_out] && (needs[weight_in] || (out.size() > bias_in && needs[bias_in]))) {
      out[weight_in] = empty_like(weight);
      if (out.size() > bias_in) out[bias_in] = empty_like(bias_.get());
      run("pooled_linear_weight_gradients", x, weight, 0,
          [&]<class B, class T>(const kernels::HeadShape& s, const WorkspaceBuffer&) {
            using A = kernels::Acc<T>;
            kernels::head_weight_gradients<B, A>(
                current_stream(), s, features.data<A>(), ct[logits_out].data<A>(),
                out[weight_in].output<A>(),
                out.size() > bias_in ? out[bias_in].output<A>() : nullptr);
          });
    }
    if (!needs[x_in]) return out;
    out[x_in] = empty_like(x);
    Tensor dfeatures = empty_like(features);
    run("pooled_linear_vjp", x, weight, 1,
        [&]<class B, class T>(const kernels::HeadShape& s, const WorkspaceBuffer&) {
          using A = kernels::Acc<T>;
          T* dx = out[x_in].output<T>();
          A* df = dfeatures.output<A>();
          const A* onto = pointer<A>(ct[features_out]);  // as a rule nobody differentiates these
          if (ct[logits_out]) {
            kernels::head_backward<B, T>(current_stream(), s, weight.data<A>(),
                                         ct[logits_out].data<A>(), df, onto ? nullptr : dx);
            if (!onto) return;
            kernels::binary<B, A>(current_stream(), kernels::Binary::add, features.numel(), df,
                                  onto, df);
            onto = df;
          }
          kernels::global_avg_pool_backward<B, T>(current_stream(), s.batch, s.pixels, s.channels,
                                                  onto, dx);
        });
    return out;
  }

  Tensors jvp(const Tensors& t) const override {
    const Tensor x = x_.get(), weight = weight_.get(), features = features_.get();
    Tensors out{empty_like(features), empty_like(features, {x.size(0), weight.size(0)})};
    run("pooled_linear_jvp", x, weight, 1,
        [&]<class B, class T>(const kernels::HeadShape& s, const WorkspaceBuffer& workspace) {
          using A = kernels::Acc<T>;
          const Tensor bias = t.size() > bias_in ? t[bias_in] : Tensor();
          kernels::head_jvp<B, T>(
              current_stream(), s, weight.data<A>(), features.data<A>(), nullptr,
              {pointer<T>(t[x_in]), {pointer<A>(t[weight_in]), pointer<A>(bias)}},
              {out[features_out].output<A>(), out[logits_out].output<A>(), nullptr}, workspace);
        });
    return out;
  }

  bool fused() const override { return true; }
  Tensors inputs() const override {
    Tensors in{x_.get(), weight_.get()};
    if (bias_.defined()) in.push_back(bias_.get());
    return in;
  }
  Tensors compose(const Tensors& in) const override {
    const PooledLinear out = composition(in[x_in], in[weight_in], in.size() > 2 ? in[2] : Tensor());
    return {out.features, out.logits};
  }

  static PooledLinear composition(const Tensor& x, const Tensor& weight, const Tensor& bias) {
    const Tensor features = global_avg_pool(x);
    return {features, linear(features, weight, bias)};
  }

 private:
  Saved x_, weight_, bias_, features_;
};

void check(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  require_floating(kName, x, "x");
  require(x.rank() == 4 && x.numel() > 0,
          "{}: x must be [batch, height, width, channels] and not empty, got {}", kName,
          x.shape().str());
  const DType wanted = accumulation_dtype(x.dtype());
  auto require_like = [&](std::string_view name, const Tensor& t, const Shape& shape) {
    require(t.shape() == shape && t.dtype() == wanted && t.device() == x.device(),
            "{}: {} must be {} {} on {} beside x {} {}, got {} {} on {}", kName, name,
            name_of(wanted), shape.str(), x.device().str(), name_of(x.dtype()), x.shape().str(),
            name_of(t.dtype()), t.shape().str(), t.device().str());
  };
  require(weight.defined() && weight.rank() == 2, "{}: weight must be [classes, channels], got {}",
          kName, weight.defined() ? weight.shape().str() : "nothing");
  require_like("weight", weight, {weight.size(0), x.size(3)});
  if (bias) require_like("bias", bias, {weight.size(0)});
}

}  // namespace

PooledLinear pooled_linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  check(x, weight, bias);
  if (!fuses_launches_on(x.device())) return PooledLinearOp::composition(x, weight, bias);
  PooledLinear out{empty_like(weight, {x.size(0), x.size(3)}),
                   empty_like(weight, {x.size(0), weight.size(0)})};
  run(kName, x, weight, 1,
      [&]<class B, class T>(const kernels::HeadShape& s, const WorkspaceBuffer& workspace) {
        using A = kernels::Acc<T>;
        kernels::head_forward<B, T>(
            current_stream(), s, x.data<T>(), {weight.data<A>(), pointer<A>(bias)}, {},
            out.features.template output<A>(), out.logits.template output<A>(), {}, workspace);
      });
  Tensors inputs{x, weight};
  if (bias) inputs.push_back(bias);
  record(inputs, std::array{out.features, out.logits},
         [&] { return std::make_unique<PooledLinearOp>(x, weight, bias, out.features); });
  return out;
}

}  // namespace ek::ops
