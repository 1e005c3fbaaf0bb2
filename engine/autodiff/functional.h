#pragma once
#include <functional>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "engine/autodiff/tape.h"
#include "engine/training/params.h"

namespace ek {

// Whether applying a derivative is itself recorded on enclosing tapes. `no` is refused with an
// Error where it would cut a path that an enclosing tape tracks; it never cuts silently.
enum class Differentiable { no, yes };

using TensorFunction = std::function<Tensors(const Tensors&)>;

// The linearisation of a function at a point: run once, applied any number of times.
class LinearMap {
 public:
  const Tensors& outputs() const { return outputs_; }

  // Reverse mode: cotangents of the outputs (undefined = zero) to cotangents of the inputs (zeros
  // where nothing arrives). The && form frees each saved tensor after its use.
  Tensors vjp(const Tensors& cotangents, Differentiable differentiable = Differentiable::no) const&;
  Tensors vjp(const Tensors& cotangents, Differentiable differentiable = Differentiable::no) &&;

  // Forward mode: tangents of the inputs (undefined = zero) to tangents of the outputs, without
  // running the function again.
  Tensors jvp(const Tensors& tangents, Differentiable differentiable = Differentiable::no) const;

  // Number of recorded nodes; 0 after a consuming call.
  std::size_t node_count() const { return tape_ ? tape_->nodes.size() : 0; }

 private:
  friend LinearMap linearize_tensors(const TensorFunction& f, const Tensors& inputs);
  Tensors run_vjp(const Tensors& cotangents, Differentiable differentiable, bool consume) const;
  void check_usable(std::string_view who) const;

  std::shared_ptr<Tape> tape_;
  std::vector<int> input_variables_, output_variables_;
  std::vector<Shape> input_shapes_;
  std::vector<DType> input_dtypes_;
  std::vector<Device> input_devices_;
  Tensors outputs_;
};

LinearMap linearize_tensors(const TensorFunction& f, const Tensors& inputs);

namespace detail {
Params gathered(const Params& gradient);
// Gives a flat direction the packs of convolution weights that a tangent sweep reads of it, in one
// launch, if the flat `params` have theirs. Without it the sweep makes them one by one.
void pack_direction(const Params& params, const Params& direction);
}  // namespace detail

// The same over Params: f takes Params and returns a Tensor, or a pair of a Tensor and auxiliary
// outputs (new buffers, logits) that are handed through and not differentiated.
template <class Aux>
class Linearization {
 public:
  Linearization(LinearMap map, Params structure, Aux aux)
      : map_(std::move(map)), structure_(std::move(structure)), aux_(std::move(aux)) {}

  const Tensor& value() const { return map_.outputs()[0]; }
  const Aux& aux() const { return aux_; }

  // Flat where a pass over many tensors is dear (engine/autodiff/fused.h) and nothing is recorded.
  Params vjp(const Tensor& cotangent, Differentiable d = Differentiable::no) const& {
    return detail::gathered(structure_.with(map_.vjp({cotangent}, d)));
  }
  Params vjp(const Tensor& cotangent, Differentiable d = Differentiable::no) && {
    return detail::gathered(structure_.with(std::move(map_).vjp({cotangent}, d)));
  }
  Tensor jvp(const Params& tangent, Differentiable d = Differentiable::no) const {
    require_same_structure(structure_, tangent, "jvp");
    detail::pack_direction(structure_, tangent);
    return map_.jvp(tangent.tensors(), d)[0];
  }
  std::size_t node_count() const { return map_.node_count(); }

 private:
  LinearMap map_;
  Params structure_;
  Aux aux_;
};

struct NoAux {};

template <class F>
auto linearize(F&& f, const Params& params) {
  using Result = std::invoke_result_t<F&, const Params&>;
  if constexpr (std::is_same_v<Result, Tensor>) {
    auto run = [&](const Tensors& in) { return Tensors{f(params.with(in))}; };
    return Linearization<NoAux>(linearize_tensors(run, params.tensors()), params, {});
  } else {
    using Aux = typename Result::second_type;
    std::optional<Aux> aux;
    auto run = [&](const Tensors& in) {
      auto [value, extra] = f(params.with(in));
      aux.emplace(std::move(extra));
      return Tensors{value};
    };
    LinearMap map = linearize_tensors(run, params.tensors());
    return Linearization<Aux>(std::move(map), params, std::move(*aux));
  }
}

namespace detail {
// `yes` under an active tape, so that a nested derivative is never cut by accident.
Differentiable nested();
Tensor ones_like_scalar(const Tensor& value, std::string_view who);
}  // namespace detail

// f returns a one-element Tensor (or a pair with auxiliary outputs).
template <class F>
Params grad(F&& f, const Params& params) {
  auto lin = linearize(std::forward<F>(f), params);
  Tensor one = detail::ones_like_scalar(lin.value(), "grad");
  return std::move(lin).vjp(one, detail::nested());
}

// {value, gradient}; with auxiliary outputs {value, gradient, aux}.
template <class F>
auto value_and_grad(F&& f, const Params& params) {
  auto lin = linearize(std::forward<F>(f), params);
  Tensor value = lin.value();
  Tensor one = detail::ones_like_scalar(value, "value_and_grad");
  auto aux = lin.aux();
  Params gradient = std::move(lin).vjp(one, detail::nested());
  if constexpr (std::is_same_v<decltype(aux), NoAux>) {
    return std::pair(value, gradient);
  } else {
    return std::tuple(value, gradient, aux);
  }
}

template <class F>
std::pair<Tensor, Params> vjp(F&& f, const Params& params, const Tensor& cotangent) {
  auto lin = linearize(std::forward<F>(f), params);
  Tensor value = lin.value();
  return {value, std::move(lin).vjp(cotangent, detail::nested())};
}

template <class F>
std::pair<Tensor, Tensor> jvp(F&& f, const Params& params, const Params& tangent) {
  auto lin = linearize(std::forward<F>(f), params);
  return {lin.value(), lin.jvp(tangent, detail::nested())};
}

// Hessian of the scalar function f times v, forward over reverse.
template <class F>
Params hvp(F&& f, const Params& params, const Params& v) {
  auto gradient = [&](const Tensors& in) { return grad(f, params.with(in)).tensors(); };
  LinearMap map = linearize_tensors(gradient, params.tensors());
  return params.with(map.jvp(v.tensors(), detail::nested()));
}

}  // namespace ek
