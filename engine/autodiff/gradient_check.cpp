#include "engine/autodiff/gradient_check.h"

#include <cmath>
#include <functional>

#include "engine/tensor/random.h"

namespace ek {
namespace {

double largest(const Tensor& x) {
  double most = 0;
  for (double value : x.to_vector()) {
    if (!(std::abs(value) <= most)) most = std::abs(value);  // a NaN stays
    if (std::isnan(most)) return most;
  }
  return most;
}

// {sum a_i b_i, sum |a_i b_i|} over all tensors; an undefined one is zero.
std::pair<double, double> dot(const Tensors& a, const Tensors& b) {
  double sum = 0, size = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!a[i] || !b[i]) continue;
    std::vector<double> x = a[i].to_vector(), y = b[i].to_vector();
    for (std::size_t j = 0; j < x.size(); ++j) {
      sum += x[j] * y[j];
      size += std::abs(x[j] * y[j]);
    }
  }
  return {sum, size};
}

// sum_k weights[k] terms[k], entry by entry.
Tensor combine(std::span<const double> weights, const Tensors& terms) {
  std::vector<double> sum(std::size_t(terms[0].numel()), 0.0);
  for (std::size_t k = 0; k < terms.size(); ++k) {
    std::vector<double> term = terms[k].to_vector();
    for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += weights[k] * term[j];
  }
  return Tensor::from(sum, terms[0].shape());
}

Tensors shifted(const Tensors& x, double step, const Tensors& direction) {
  Tensors out;
  const double weights[] = {1, step};
  for (std::size_t i = 0; i < x.size(); ++i) out.push_back(combine(weights, {x[i], direction[i]}));
  return out;
}

// Derivative of f at x along `direction`.
Tensors finite_difference(const TensorFunction& f, const Tensors& x, const Tensors& direction,
                          double step) {
  const double c = 1 / (12 * step);
  const double weights[] = {c, -8 * c, 8 * c, -c};
  std::vector<Tensors> points;
  for (int k : {-2, -1, 1, 2}) points.push_back(f(shifted(x, k * step, direction)));
  Tensors out;
  for (std::size_t i = 0; i < points[0].size(); ++i) {
    out.push_back(combine(weights, {points[0][i], points[1][i], points[2][i], points[3][i]}));
  }
  return out;
}

Tensors random_like(const Tensors& like, std::uint64_t seed) {
  Tensors out;
  for (std::size_t i = 0; i < like.size(); ++i) {
    out.push_back(random_tensor(like[i].shape(), seed * 1000 + i));
  }
  return out;
}

Tensors joined(Tensors a, const Tensors& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Tensors part(const Tensors& all, std::size_t begin, std::size_t end) {
  return {all.begin() + std::ptrdiff_t(begin), all.begin() + std::ptrdiff_t(end)};
}

// f as a function of its differentiable inputs alone.
struct Restricted {
  Tensors x;
  TensorFunction f;
};

Restricted restrict(const TensorFunction& f, const Tensors& inputs,
                    const std::vector<bool>& differentiable) {
  Restricted out;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    bool floating = inputs[i].defined() && is_floating(inputs[i].dtype());
    if (!floating || (!differentiable.empty() && !differentiable[i])) continue;
    require(inputs[i].dtype() == DType::float64, "gradcheck: input {} is {}, not float64", i,
            name_of(inputs[i].dtype()));
    places.push_back(i);
    out.x.push_back(inputs[i]);
  }
  require(!places.empty(), "gradcheck: no input is differentiable");
  out.f = [f, inputs, places](const Tensors& x) {
    Tensors all = inputs;
    for (std::size_t k = 0; k < places.size(); ++k) all[places[k]] = x[k];
    return f(all);
  };
  return out;
}

class Checker {
 public:
  Checker(const char* name, Restricted function, const GradcheckOptions& options)
      : name_(name), x_(std::move(function.x)), f_(std::move(function.f)), options_(options) {}

  std::vector<std::string> run() {
    LinearMap map = linearize_tensors(f_, x_);
    for (const Tensor& y : map.outputs()) output_size_ = std::max(output_size_, largest(y));
    ct_ = random_like(map.outputs(), 10 * options_.seed + 1);
    v_ = random_like(x_, 10 * options_.seed + 2);
    jv_ = map.jvp(v_);
    vjp_ = map.vjp(ct_);
    compare("jvp against finite differences", jv_, finite_difference(f_, x_, v_, options_.step),
            options_.tolerance, 1e-2 * output_size_);
    adjoint();
    if (options_.second_order) {
      over_reverse();
      over_forward();
    }
    return std::move(errors_);
  }

 private:
  void adjoint() {
    auto [forward, forward_size] = dot(ct_, jv_);
    auto [reverse, reverse_size] = dot(vjp_, v_);
    double bound = options_.tolerance_exact * std::max(forward_size, reverse_size);
    if (!(std::abs(forward - reverse) <= bound)) {
      errors_.push_back(fmt::format("{}: adjoint: <ct, J v> = {:.17g}, <J^T ct, v> = {:.17g}",
                                    name_, forward, reverse));
    }
  }

  // The gradient g(x, ct) as a function, and its two derivatives.
  void over_reverse() {
    const std::size_t n = x_.size();
    auto g = [&](Differentiable differentiable) {
      return [&, differentiable](const Tensors& in) {
        LinearMap map = linearize_tensors(f_, part(in, 0, n));
        return map.vjp(part(in, n, in.size()), differentiable);
      };
    };
    Tensors point = joined(x_, ct_);
    LinearMap map = linearize_tensors(g(Differentiable::yes), point);
    compare("recorded vjp against vjp", map.outputs(), vjp_, options_.tolerance_exact);

    Tensors direction = joined(v_, random_like(ct_, 10 * options_.seed + 3));
    Tensors difference = finite_difference(g(Differentiable::no), point, direction, options_.step);
    compare("forward over reverse", map.jvp(direction), difference, options_.tolerance_second,
            scale_of(vjp_));

    Tensors zero_ct;
    for (const Tensor& t : ct_) zero_ct.push_back(Tensor::zeros(t.shape(), t.dtype()));
    difference =
        finite_difference(g(Differentiable::no), point, joined(v_, zero_ct), options_.step);
    Tensors second = map.vjp(v_);
    hessian_v_ = part(second, 0, n);
    compare("reverse over reverse", hessian_v_, difference, options_.tolerance_second,
            scale_of(vjp_));
    compare("reverse over reverse, for the cotangent", part(second, n, second.size()), jv_,
            options_.tolerance_exact);
  }

  void over_forward() {
    auto h = [&](Differentiable differentiable) {
      return [&, differentiable](const Tensors& x) {
        return linearize_tensors(f_, x).jvp(v_, differentiable);
      };
    };
    LinearMap map = linearize_tensors(h(Differentiable::yes), x_);
    compare("recorded jvp against jvp", map.outputs(), jv_, options_.tolerance_exact);
    Tensors direction = random_like(x_, 10 * options_.seed + 4);
    compare("forward over forward", map.jvp(direction),
            finite_difference(h(Differentiable::no), x_, direction, options_.step),
            options_.tolerance_second, scale_of(jv_));
    compare("reverse over forward against reverse over reverse", map.vjp(ct_), hessian_v_,
            10 * options_.tolerance_exact, scale_of(vjp_));
  }

  // Second derivatives that vanish leave rounding of the first ones.
  static double scale_of(const Tensors& first_order) {
    double most = 0;
    for (const Tensor& t : first_order) most = std::max(most, largest(t));
    return 1e-2 * most;
  }

  void compare(std::string_view check, const Tensors& got, const Tensors& expected,
               double tolerance, double floor = 0) {
    if (got.size() != expected.size()) {
      errors_.push_back(fmt::format("{}: {}: {} tensors, expected {}", name_, check, got.size(),
                                    expected.size()));
      return;
    }
    for (std::size_t i = 0; i < got.size(); ++i)
      compare(check, i, got[i], expected[i], tolerance, floor);
  }

  void compare(std::string_view check, std::size_t i, const Tensor& got, const Tensor& expected,
               double tolerance, double floor) {
    if (!got || got.shape() != expected.shape()) {
      errors_.push_back(fmt::format("{}: {}: tensor {} is {}, expected {}", name_, check, i,
                                    got ? got.shape().str() : "undefined", expected.shape().str()));
      return;
    }
    double error = relative_error(got, expected, floor);
    if (error <= tolerance) return;
    std::vector<double> a = got.to_vector(), b = expected.to_vector();
    std::size_t worst = 0;
    for (std::size_t j = 0; j < a.size(); ++j) {
      if (!(std::abs(a[j] - b[j]) <= std::abs(a[worst] - b[worst]))) worst = j;
    }
    errors_.push_back(fmt::format(
        "{}: {}: tensor {} {}, element {}: {:.17g}, expected {:.17g}; relative error {:.3g} > "
        "{:.3g}",
        name_, check, i, got.shape().str(), worst, a[worst], b[worst], error, tolerance));
  }

  const char* name_;
  Tensors x_;
  TensorFunction f_;
  GradcheckOptions options_;
  Tensors ct_, v_, jv_, vjp_, hessian_v_;
  double output_size_ = 0;
  std::vector<std::string> errors_;
};

}  // namespace

std::vector<std::string> gradient_errors(const char* name, const TensorFunction& f,
                                         const Tensors& inputs, const GradcheckOptions& options) {
  return Checker(name, restrict(f, inputs, options.differentiable), options).run();
}

std::vector<std::string> composition_errors(const char* name, const TensorFunction& f,
                                            const Tensors& inputs, double tolerance,
                                            const std::vector<bool>& differentiable) {
  Restricted function = restrict(f, inputs, differentiable);
  Tape tape;
  Tensors outputs;
  {
    TapeScope scope(tape);
    for (Tensor& x : function.x) {
      x = x.view(x.shape());  // an identity that no other tape knows
      tape.add_variable(x);
    }
    outputs = function.f(function.x);
  }
  std::vector<std::string> errors;
  int compared = 0;
  for (const Tape::Node& node : tape.nodes) {
    if (!node.op->fused()) continue;
    const Tensors composed = node.op->compose(node.op->inputs());
    for (std::size_t k = 0; k < node.outputs.size(); ++k) {
      for (const Tensor& output : outputs) {
        if (tape.find(output.id()) != node.outputs[k]) continue;
        ++compared;
        const double error = relative_error(composed.at(k), output);
        if (error <= tolerance) continue;
        errors.push_back(fmt::format("{}: composition of {}, output {}: relative error {:.3g}",
                                     name, node.op->name(), k, error));
      }
    }
  }
  if (compared != int(outputs.size())) {
    errors.push_back(
        fmt::format("{}: {} of {} outputs come from a fused op", name, compared, outputs.size()));
  }
  return errors;
}

Tensor random_tensor(const Shape& shape, std::uint64_t seed, double scale, double shift,
                     DType dtype) {
  RandomStream stream(seed, Purpose::test);
  std::vector<double> values(std::size_t(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = scale * stream.normal(i) + shift;
  return Tensor::from(values, shape).to(dtype);
}

double relative_error(const Tensor& a, const Tensor& b, double floor) {
  require(a.shape() == b.shape(), "relative_error: shapes {} and {}", a.shape().str(),
          b.shape().str());
  std::vector<double> x = a.to_vector(), y = b.to_vector();
  double difference = 0, size = floor;
  for (std::size_t i = 0; i < x.size(); ++i) {
    double d = std::abs(x[i] - y[i]);
    if (std::isnan(d)) return d;
    difference = std::max(difference, d);
    size = std::max({size, std::abs(x[i]), std::abs(y[i])});
  }
  return difference == 0 ? 0 : difference / size;
}

}  // namespace ek
