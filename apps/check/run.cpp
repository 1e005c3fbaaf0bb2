#include "apps/check/run.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>

#include "engine/autodiff/gradient_check.h"
#include "engine/ops.h"
#include "kernels/base/versions.h"

namespace ek {
namespace {

DType dtype_of_input(const CheckCase& one, std::size_t i, DType dtype) {
  const DType own = one.inputs[i].dtype();
  if (!is_floating(own)) return own;
  return one.activation.empty() || one.activation[i] ? dtype : accumulation_dtype(dtype);
}

bool differentiated(const CheckCase& one, std::size_t i) {
  return is_floating(one.inputs[i].dtype()) &&
         (one.differentiable.empty() || one.differentiable[i]);
}

Tensor to_double(const Tensor& x) {
  return is_floating(x.dtype()) ? x.to(DType::float64) : x;
}

// The nearest tf32 numbers, of two the larger one in size; x float32 on the CPU.
Tensor rounded_to_tf32(const Tensor& x) {
  std::vector<float> values(x.span<float>().begin(), x.span<float>().end());
  for (float& v : values) {
    v = std::bit_cast<float>((std::bit_cast<std::uint32_t>(v) + 0x1000) & ~0x1FFFu);
  }
  return Tensor::from(values, x.shape());
}

// The case as a function of its differentiated inputs, in given dtypes and on a device.
class Application {
 public:
  Application(const CheckCase& one, Device device, CheckType type)
      : device_(device), type_(type), run_(one.run_in(type)), exact_(one.run) {
    if (type.is_tf32()) factors_ = one.factors;
    for (std::size_t i = 0; i < one.inputs.size(); ++i) {
      const DType wanted = dtype_of_input(one, i, type.dtype);
      all_.push_back(is_floating(wanted) ? one.inputs[i].to(wanted) : one.inputs[i]);
      if (differentiated(one, i)) places_.push_back(i);
    }
  }

  // The same inputs, as they were rounded, in float64 on the CPU.
  Application reference() const {
    Application wide = *this;
    wide.device_ = {};
    wide.run_ = exact_;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const bool factor = !factors_.empty() && factors_[i];
      wide.all_[i] = to_double(factor ? rounded_to_tf32(all_[i]) : all_[i]);
    }
    return wide;
  }

  Tensors point() const {
    Tensors x;
    for (const std::size_t place : places_) x.push_back(all_[place].to(device_));
    return x;
  }
  TensorFunction function() const {
    Tensors all;
    for (const Tensor& x : all_) all.push_back(x.to(device_));
    return [all, places = places_, run = run_](const Tensors& x) {
      Tensors in = all;
      for (std::size_t k = 0; k < places.size(); ++k) in[places[k]] = x[k];
      return run(in);
    };
  }
  Device device() const { return device_; }
  CheckType type() const { return type_; }

 private:
  Device device_;
  CheckType type_;
  TensorFunction run_, exact_;
  std::vector<bool> factors_;  // of tf32 products; empty if there are none
  Tensors all_;                // on the CPU
  std::vector<std::size_t> places_;
};

// Directions for tensors: drawn once in the dtypes of the run under test, then moved.
Tensors directions(const Tensors& like, std::uint64_t seed, CheckType type) {
  Tensors drawn;
  for (std::size_t i = 0; i < like.size(); ++i) {
    const Tensor one = random_tensor(like[i].shape(), seed * 1000 + i).to(like[i].dtype());
    drawn.push_back(type.is_tf32() ? rounded_to_tf32(one) : one);
  }
  return drawn;
}
Tensors on(const Tensors& tensors, Device device, bool wide) {
  Tensors moved;
  for (const Tensor& x : tensors) moved.push_back((wide ? to_double(x) : x).to(device));
  return moved;
}

// The derivatives of one run, back on the CPU.
struct Results {
  Tensors vjp, jvp;
};

struct Directions {
  Tensors v, ct, dct;
};

Tensors home(const Tensors& tensors) {
  return on(tensors, Device{}, true);
}

class Runner {
 public:
  Runner(const Application& application, bool wide)
      : f_(application.function()),
        x_(application.point()),
        device_(application.device()),
        type_(application.type()),
        wide_(wide),
        map_(linearize_tensors(f_, x_)) {}

  Directions draw() const {
    return {directions(x_, 12, type_), directions(map_.outputs(), 11, type_),
            directions(map_.outputs(), 13, type_)};
  }
  Tensors value() const { return home(map_.outputs()); }
  Tensors vjp(const Directions& d) const { return home(map_.vjp(on(d.ct, device_, wide_))); }
  Tensors jvp(const Directions& d) const { return home(map_.jvp(on(d.v, device_, wide_))); }

  // g(x, ct) = J(x)^T ct, differentiated in both directions.
  Tensors second(const Directions& d) const {
    const std::size_t n = x_.size();
    Tensors point = x_, direction = on(d.v, device_, wide_);
    for (const Tensor& ct : on(d.ct, device_, wide_)) point.push_back(ct);
    for (const Tensor& dct : on(d.dct, device_, wide_)) direction.push_back(dct);
    const LinearMap map = linearize_tensors(
        [&](const Tensors& in) {
          const auto middle = in.begin() + std::ptrdiff_t(n);
          return linearize_tensors(f_, {in.begin(), middle})
              .vjp({middle, in.end()}, Differentiable::yes);
        },
        point);
    Tensors both = home(map.jvp(direction));
    for (const Tensor& t : home(map.vjp(on(d.v, device_, wide_)))) both.push_back(t);
    return both;
  }

 private:
  TensorFunction f_;
  Tensors x_;
  Device device_;
  CheckType type_;
  bool wide_;
  LinearMap map_;
};

double largest(const Tensors& tensors) {
  double most = 0;
  for (const Tensor& t : tensors) {
    for (const double value : t.to_vector()) most = std::max(most, std::abs(value));
  }
  return most;
}

bool version_named() {
  return std::ranges::any_of(kernels::versioned_functions(), [](std::string_view function) {
    return kernels::named_version(function) >= 0;
  });
}

// An Error that says which device or dtype cannot do it is a refusal, and so is that of a version
// which was asked for by name and does not serve the shape; any other is a fault, what CUDA reports
// always.
CheckOutcome of_error(const std::string& message, Device device, CheckType type) {
  const auto says = [&](std::string_view words) {
    return message.find(words) != std::string::npos;
  };
  const bool by_name =
      !says("cudaError") && (says(type.name()) || says("device " + device.str()) ||
                             (version_named() && says("expected") && says(", but got ")));
  return {by_name ? CheckState::refused : CheckState::failed, message, 0};
}

// got against expected, tensor by tensor; entries below a hundredth of the largest of all count as
// that, since what cancels leaves the rounding of what it was made of.
CheckOutcome compare(const Tensors& got, const Tensors& expected, double tolerance) {
  CheckOutcome outcome{CheckState::passed, {}, 0, tolerance};
  const double floor = 1e-2 * largest(expected);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const double error = relative_error(got.at(i), expected[i], floor);
    if (!(error <= outcome.error)) outcome.error = error;
    if (error <= tolerance) continue;
    outcome.state = CheckState::failed;
    outcome.detail = fmt::format("tensor {} {}: relative error {:.3g} > {:.3g}", i,
                                 expected[i].shape().str(), error, tolerance);
  }
  return outcome;
}

CheckOutcome require_zero(const Tensors& tensors) {
  const double most = largest(tensors);
  if (most == 0) return {CheckState::passed, {}, 0};
  return {CheckState::failed, fmt::format("a derivative of {}, expected 0", most), most};
}

// <ct, J v> against <J^T ct, v>
void check_adjoint(const Results& run, const Directions& d, double tolerance, CheckOutcome& vjp) {
  const auto product = [](const Tensors& a, const Tensors& b) {
    std::pair<double, double> sum{0, 0};
    for (std::size_t i = 0; i < a.size(); ++i) {
      const auto x = a[i].to_vector(), y = b[i].to_vector();
      for (std::size_t j = 0; j < x.size(); ++j) {
        sum.first += x[j] * y[j];
        sum.second += std::abs(x[j] * y[j]);
      }
    }
    return sum;
  };
  const auto [forward, forward_size] = product(d.ct, run.jvp);
  const auto [reverse, reverse_size] = product(run.vjp, d.v);
  if (std::abs(forward - reverse) <= tolerance * std::max(forward_size, reverse_size)) return;
  vjp = {CheckState::failed,
         fmt::format("<ct, J v> = {:.9g}, <J^T ct, v> = {:.9g}", forward, reverse), 0};
}

bool finite(const Tensors& tensors) {
  return std::ranges::all_of(tensors, [](const Tensor& t) {
    return std::ranges::all_of(t.to_vector(), [](double v) { return std::isfinite(v); });
  });
}

bool same_bits(const Tensors& a, const Tensors& b) {
  return std::ranges::equal(a, b, [](const Tensor& x, const Tensor& y) {
    return x.bytes() == y.bytes() && std::memcmp(x.raw(), y.raw(), x.bytes()) == 0;
  });
}

// The value of the reference: finite, the same for any number of threads, that of its composition.
CheckOutcome reference_value(const CheckCase& one) {
  const int threads = thread_count();
  set_threads(1);
  const Tensors alone = one.run(one.inputs);
  set_threads(3);
  const Tensors many = one.run(one.inputs);
  set_threads(threads);
  if (!finite(alone)) return {CheckState::failed, "the value is not finite", 0};
  if (!same_bits(alone, many)) {
    return {CheckState::failed, "other bits for 3 threads than for 1", 0};
  }
  if (one.fused) {
    const auto errors = composition_errors(
        one.op.c_str(), one.run, one.inputs,
        check_tolerance(DType::float64, CheckPart::forward, one.fused), one.differentiable);
    if (!errors.empty()) return {CheckState::failed, errors[0], 0};
  }
  return {CheckState::passed, {}, 0};
}

}  // namespace

std::string_view name_of(CheckPart part) {
  constexpr std::array<std::string_view, check_parts.size()> names{"forward", "vjp", "jvp",
                                                                   "second order"};
  return names[std::size_t(part)];
}

double check_tolerance(CheckType type, CheckPart part, bool fused) {
  switch (type.dtype) {
    case DType::float64:
      return 1e-11;
    case DType::float32:
      return type.is_tf32() && fused ? 0.0025 : 2e-5;
    default:
      return part == CheckPart::second ? 0.04 : 0.02;
  }
}

CheckOutcomes test_outcomes(const CheckCase& one, Device device, CheckType type) {
  CheckOutcomes outcomes;
  if (!one.run_in(type)) return outcomes;
  const auto outcome = [&](CheckPart part) -> CheckOutcome& { return outcomes[std::size_t(part)]; };
  const auto guarded = [&](CheckPart part, auto&& body) {
    try {
      body(outcome(part));
    } catch (const Error& error) {
      outcome(part) = of_error(error.what(), device, type);
    }
  };
  if (device == Device{} && type == DType::float64) {
    guarded(CheckPart::forward, [&](CheckOutcome& out) { out = reference_value(one); });
    return outcomes;
  }

  std::optional<Application> application;
  std::optional<Runner> run;
  try {
    application.emplace(one, device, type);
    run.emplace(*application, false);
  } catch (const Error& error) {
    outcomes.fill(of_error(error.what(), device, type));
    if (type.is_tf32()) outcome(CheckPart::second) = {};
    return outcomes;
  }
  const Runner reference(application->reference(), true);
  const Directions d = run->draw();
  Results results;
  const auto tolerance = [&](CheckPart part) { return check_tolerance(type, part, one.fused); };
  guarded(CheckPart::forward, [&](CheckOutcome& out) {
    out = compare(run->value(), reference.value(), tolerance(CheckPart::forward));
  });
  guarded(CheckPart::jvp, [&](CheckOutcome& out) {
    results.jvp = run->jvp(d);
    out = one.stops_gradient ? require_zero(results.jvp)
                             : compare(results.jvp, reference.jvp(d), tolerance(CheckPart::jvp));
  });
  guarded(CheckPart::vjp, [&](CheckOutcome& out) {
    results.vjp = run->vjp(d);
    out = one.stops_gradient ? require_zero(results.vjp)
                             : compare(results.vjp, reference.vjp(d), tolerance(CheckPart::vjp));
    const bool both = outcome(CheckPart::jvp).state == CheckState::passed;
    if (both && out.state == CheckState::passed) {
      check_adjoint(results, d, tolerance(CheckPart::vjp), out);
    }
  });
  if (type.is_tf32()) return outcomes;
  guarded(CheckPart::second, [&](CheckOutcome& out) {
    const Tensors second = run->second(d);
    out = one.stops_gradient ? require_zero(second)
                             : compare(second, reference.second(d), tolerance(CheckPart::second));
  });
  return outcomes;
}

CheckOutcomes gradient_outcomes(const CheckCase& one, Device device) {
  CheckOutcomes outcomes;
  // There and back, as recorded copies.
  const TensorFunction f = [&](const Tensors& in) {
    if (device == Device{}) return one.run(in);
    Tensors moved, out;
    for (const Tensor& x : in) moved.push_back(ops::to_device(x, device));
    for (const Tensor& y : one.run(moved)) out.push_back(ops::to_device(y, Device{}));
    return out;
  };
  const auto fill = [&](const CheckOutcome& outcome) {
    for (const CheckPart part : {CheckPart::vjp, CheckPart::jvp, CheckPart::second}) {
      outcomes[std::size_t(part)] = outcome;
    }
  };
  fill({CheckState::passed, {}, 0});
  try {
    if (one.stops_gradient) {
      Tensors ones;
      const LinearMap map = linearize_tensors(f, one.inputs);
      for (const Tensor& y : map.outputs()) ones.push_back(Tensor::full(y.shape(), 1, y.dtype()));
      fill(require_zero(map.vjp(ones)));
      return outcomes;
    }
    GradcheckOptions options;
    options.differentiable = one.differentiable;
    for (const std::string& error : gradient_errors(one.op.c_str(), f, one.inputs, options)) {
      const CheckOutcome failed{CheckState::failed, error, 0};
      const bool first = error.find("jvp against finite") != std::string::npos;
      const bool adjoint = error.find(": adjoint:") != std::string::npos;
      if (first) outcomes[std::size_t(CheckPart::jvp)] = failed;
      if (first || adjoint) outcomes[std::size_t(CheckPart::vjp)] = failed;
      if (!first && !adjoint) outcomes[std::size_t(CheckPart::second)] = failed;
    }
  } catch (const Error& error) {
    fill(of_error(error.what(), device, DType::float64));
  }
  return outcomes;
}

}  // namespace ek
