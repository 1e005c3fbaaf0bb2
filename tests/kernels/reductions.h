#pragma once
#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "kernels/difficulty.h"
#include "kernels/gemm.h"
#include "kernels/norm.h"
#include "kernels/pool.h"
#include "kernels/reduce.h"
#include "kernels/softmax.h"

// Every reduction of float32 over n terms, run on numbers whose exact result is known, on any
// backend: the table of docs/precision.md.
namespace ek::test {

// What is added up.
enum class Terms {
  constant,  // 1.1: errors of one sign add up
  positive,  // spread over (0, 1)
  mixed,     // spread over (-1, 1): errors count relative to the sum of |x|
};
inline float term(Terms kind, std::int64_t i) {
  if (kind == Terms::constant) return 1.1f;
  const float u = float((i * 7919 + 13) % 10007 + 1) / 10008.0f;
  return kind == Terms::positive ? u : 2 * u - 1;
}
inline std::vector<float> terms(Terms kind, std::int64_t count) {
  std::vector<float> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values[std::size_t(i)] = term(kind, i);
  return values;
}

// One sum in float64 beside the sum of its absolute values.
struct Exact {
  double sum = 0, size = 0;
  void add(double x) {
    sum += x;
    size += std::abs(x);
  }
  // |got - sum * factor|, relative to the sizes. NaN stays.
  double error(double got, double factor = 1) const {
    return std::abs(got - sum * factor) / (size * std::abs(factor));
  }
};
// Not std::max, which drops a NaN.
inline void keep_worst(double& worst, double error) {
  if (!(error <= worst)) worst = error;
}

struct Reduction {
  std::string name;
  // The largest error of one call, with n terms a result.
  std::function<double(std::int64_t n, Terms kind)> worst_error;
  std::int64_t most_terms = 10'000'000;  // more take too long or too much memory
};

// `In(values)` and `Out(count)` are memory that kernels of B may read and write, `data()` and
// `values()` as in kernels/simt/check/guarded.h.
template <class B, template <class> class In, template <class> class Out>
class Reductions {
 public:
  static std::vector<Reduction> all() {
    return {{"sum_to, rows", [](auto n, auto kind) { return sum(n, 1, kind); }},
            {"sum_to, columns", [](auto n, auto kind) { return sum(n, 4, kind); }},
            {"segment_sum", segment},
            {"global_avg_pool", [](auto n, auto kind) { return mean_of_pixels(n, 4, kind); }},
            {"global_avg_pool, odd", [](auto n, auto kind) { return mean_of_pixels(n, 3, kind); }},
            {"avg_pool2d", window},
            {"channel_stats", statistics},
            {"channel_stats_jvp", statistics_tangent},
            {"norm_act_vjp", norm_cotangents},
            {"softmax, log-sum-exp", log_sum_exp},
            {"softmax_loss, soft targets", soft_targets},
            {"softmax_loss_jvp", loss_tangent},
            {"difficulty_forward", difficulty, 100'000},
            {"gemm", product}};
  }

 private:
  static double sum(std::int64_t n, std::int64_t columns, Terms kind) {
    const std::vector<float> x = terms(kind, n * columns);
    const In<float> large(x);
    Out<float> small{std::size_t(columns)};
    kernels::sum_to<B, float>({}, {{1, 1, 1, 1, 1, columns}, {1, 1, 1, 1, n, columns}},
                              large.data(), small.data());
    return columns_error(x, columns, small.values(), 1);
  }

  // The columns of x [n, columns] against their sums times `factor`.
  static double columns_error(const std::vector<float>& x, std::int64_t columns,
                              const std::vector<float>& got, double factor) {
    std::vector<Exact> exact(static_cast<std::size_t>(columns));
    for (std::size_t i = 0; i < x.size(); ++i) exact[i % exact.size()].add(double(x[i]));
    double worst = 0;
    for (std::size_t c = 0; c < exact.size(); ++c) {
      keep_worst(worst, exact[c].error(double(got[c]), factor));
    }
    return worst;
  }

  // Two segments of n rows each.
  static double segment(std::int64_t n, Terms kind) {
    constexpr std::int64_t width = 3;
    const std::vector<float> x = terms(kind, 2 * n * width);
    std::vector<std::int64_t> index(std::size_t(2 * n));
    for (std::size_t i = 0; i < index.size(); ++i) index[i] = std::int64_t(i % 2);
    const In<float> values(x);
    const In<std::int64_t> of(index);
    Out<float> out(2 * width);
    kernels::segment_sum<B, float>({}, 2 * n, width, 2, values.data(), of.data(), out.data());
    return columns_error(x, 2 * width, out.values(), 1);  // rows take turns
  }

  static double mean_of_pixels(std::int64_t n, std::int64_t channels, Terms kind) {
    const std::vector<float> x = terms(kind, n * channels);
    const In<float> image(x);
    Out<float> mean{std::size_t(channels)};
    kernels::global_avg_pool_forward<B, float>({}, 1, n, channels, image.data(), mean.data());
    return columns_error(x, channels, mean.values(), 1 / double(n));
  }

  static double window(std::int64_t n, Terms kind) {
    constexpr std::int64_t channels = 3;
    const auto side = std::int64_t(std::sqrt(double(n)));
    const kernels::Pool2dShape shape{.batch = 1,
                                     .in_h = side,
                                     .in_w = side,
                                     .channels = channels,
                                     .kernel_h = side,
                                     .kernel_w = side,
                                     .stride_h = 1,
                                     .stride_w = 1};
    const std::vector<float> x = terms(kind, side * side * channels);
    const In<float> image(x);
    Out<float> mean(channels);
    kernels::avg_pool2d_forward<B, float>({}, shape, image.data(), mean.data());
    return columns_error(x, channels, mean.values(), 1 / double(side * side));
  }

  // The terms around 3, so that the mean is far from zero. The variance is relative to itself.
  static double statistics(std::int64_t n, Terms kind) {
    constexpr std::int64_t channels = 4;
    std::vector<float> y = terms(kind, n * channels);
    for (float& value : y) value += 3;
    const In<float> rows(y);
    Out<float> mean(channels), var(channels);
    Out<double> scratch(kernels::norm_workspace_bytes<B, float>(n, channels) / 8);
    kernels::channel_stats_forward<B, float>({}, n, channels, rows.data(), mean.data(), var.data(),
                                             workspace(scratch));
    double worst = columns_error(y, channels, mean.values(), 1 / double(n));
    const std::vector<double> means = exact_means(y, channels);
    std::vector<Exact> squares(channels);
    for (std::size_t i = 0; i < y.size(); ++i) {
      const double d = double(y[i]) - means[i % channels];
      squares[i % channels].add(d * d);
    }
    const std::vector<float> got = var.values();
    for (std::size_t c = 0; c < channels; ++c) {
      if (kind == Terms::constant) {
        keep_worst(worst, std::abs(double(got[c])));  // of ones: rounding of the pivot, squared
      } else {
        keep_worst(worst, squares[c].error(double(got[c]), 1 / double(n)));
      }
    }
    return worst;
  }

  static double statistics_tangent(std::int64_t n, Terms kind) {
    constexpr std::int64_t channels = 4;
    const std::vector<float> y = terms(Terms::positive, n * channels),
                             along = terms(kind, n * channels);
    const In<float> rows(y), tangent(along), mean(std::vector<float>(channels, 0.25f));
    Out<float> mean_tangent(channels), var_tangent(channels);
    Out<double> scratch(kernels::norm_workspace_bytes<B, float>(n, channels) / 8);
    kernels::channel_stats_jvp<B, float>({}, n, channels, rows.data(), mean.data(), tangent.data(),
                                         mean_tangent.data(), var_tangent.data(),
                                         workspace(scratch));
    double worst = columns_error(along, channels, mean_tangent.values(), 1 / double(n));
    keep_worst(worst,
               products_error(y, 0.25, along, channels, var_tangent.values(), 2 / double(n)));
    return worst;
  }

  static double norm_cotangents(std::int64_t n, Terms kind) {
    constexpr std::int64_t channels = 4;
    const std::vector<float> y = terms(Terms::positive, n * channels),
                             g = terms(kind, n * channels);
    const In<float> rows(y), dact(g), mean(std::vector<float>(channels, 0.25f)),
        one(std::vector<float>(channels, 1.0f));
    Out<float> dy(y.size()), dmean(channels), dvar(channels), dgamma(channels), dbeta(channels);
    Out<double> scratch(kernels::norm_workspace_bytes<B, float>(n, channels) / 8);
    const kernels::NormParams<float> params{.rows = n,
                                            .channels = channels,
                                            .eps = 0,
                                            .relu = false,
                                            .mean = mean.data(),
                                            .var = one.data(),
                                            .gamma = one.data(),
                                            .beta = one.data()};
    kernels::norm_act_vjp<B, float>({}, params, rows.data(), rows.data(), dact.data(),
                                    {.dy = dy.data(),
                                     .dshortcut = nullptr,
                                     .dmean = dmean.data(),
                                     .dvar = dvar.data(),
                                     .dgamma = dgamma.data(),
                                     .dbeta = dbeta.data()},
                                    workspace(scratch));
    double worst = columns_error(g, channels, dbeta.values(), 1);
    keep_worst(worst, products_error(y, 0.25, g, channels, dgamma.values(), 1));
    return worst;
  }

  // Columns of the sums of (y - mean) * g, times `factor`.
  static double products_error(const std::vector<float>& y, double mean,
                               const std::vector<float>& g, std::int64_t channels,
                               const std::vector<float>& got, double factor) {
    std::vector<Exact> exact(static_cast<std::size_t>(channels));
    for (std::size_t i = 0; i < y.size(); ++i) {
      exact[i % exact.size()].add((double(y[i]) - mean) * double(g[i]));
    }
    double worst = 0;
    for (std::size_t c = 0; c < exact.size(); ++c) {
      keep_worst(worst, exact[c].error(double(got[c]), factor));
    }
    return worst;
  }

  // The sum inside, from its logarithm: an error of lse is one of the sum, relative to it.
  static double log_sum_exp(std::int64_t n, Terms kind) {
    std::vector<float> logits = terms(kind, n);
    for (float& z : logits) z *= 0.25f;
    const In<float> rows(logits);
    Out<float> lse(1), probabilities{std::size_t(n)};
    kernels::softmax<B, float>({}, 1, n, rows.data(), probabilities.data(), lse.data());
    double sum = 0;
    for (const float z : logits) sum += std::exp(double(z));
    const double got = double(lse.values()[0]);
    double worst = std::abs(got - std::log(sum)) / std::max(std::log(sum), 1.0);
    const std::vector<float> p = probabilities.values();
    for (const std::size_t k : {std::size_t(0), p.size() / 2, p.size() - 1}) {
      const double exact = std::exp(double(logits[k])) / sum;
      keep_worst(worst, std::abs(double(p[k]) - exact) / exact);
    }
    return worst;
  }

  static double soft_targets(std::int64_t n, Terms kind) {
    std::vector<float> logits = terms(kind, n);
    const std::vector<float> q(std::size_t(n), 1 / float(n));
    const In<float> rows(logits), targets(q);
    Out<float> losses(1);
    kernels::SoftmaxLoss<float> loss{.rows = 1, .classes = n};
    loss.targets = targets.data();
    kernels::SoftmaxLossOutputs<float> out;
    out.losses = losses.data();
    kernels::softmax_loss<B, float>({}, loss, rows.data(), out);
    double sum = 0, linear = 0, top = double(logits[0]);
    for (const float z : logits) top = std::max(top, double(z));
    for (const float z : logits) {
      sum += std::exp(double(z) - top);
      linear += double(q[0]) * (double(z) - top);
    }
    const double exact = std::log(sum) - linear;
    return std::abs(double(losses.values()[0]) - exact) / std::max(std::log(sum), 1.0);
  }

  static double loss_tangent(std::int64_t n, Terms kind) {
    const std::vector<float> a = terms(Terms::positive, n), b = terms(kind, n);
    const In<float> dlogits(a), tangent(b);
    Out<float> slope(1);
    kernels::softmax_loss_jvp<B, float>({}, 1, n, dlogits.data(), tangent.data(), slope.data());
    Exact exact;
    for (std::size_t i = 0; i < a.size(); ++i) exact.add(double(a[i]) * double(b[i]));
    return exact.error(double(slope.values()[0]));
  }

  // With the weights of the last layer zero every difficulty is 1/2 and every weight 1; the first
  // layer sums n accuracies.
  static double difficulty(std::int64_t n, Terms kind) {
    const kernels::DifficultyShape shape{.classes = n, .hidden = 2};
    std::vector<float> parameters(std::size_t(shape.parameters()), 0.0f);
    for (std::int64_t i = 0; i < 2 * n; ++i) parameters[std::size_t(shape.weight(1) + i)] = 1;
    std::vector<float> x = terms(kind, n);
    for (float& value : x) value = std::abs(value);  // a ReLU follows
    const In<float> theta(parameters), accuracy(x);
    Out<float> h1(2), h2(2), d{std::size_t(n)}, w{std::size_t(n)};
    kernels::difficulty_forward<B, float>({}, shape, theta.data(), accuracy.data(),
                                          {h1.data(), h2.data(), d.data(), w.data()});
    Exact exact;
    for (const float value : x) exact.add(double(value));
    double worst = exact.error(double(h1.values()[0]));
    keep_worst(worst, std::abs(double(w.values().front()) - 1));
    return worst;
  }

  static double product(std::int64_t n, Terms kind) {
    const std::vector<float> a = terms(kind, 2 * n);
    const std::vector<float> b = terms(kind == Terms::constant ? kind : Terms::positive, n);
    const In<float> rows(a), column(b);
    Out<float> c(2);
    kernels::gemm<B, float>({}, {2, 1, n, false, false}, rows.data(), column.data(), c.data());
    double worst = 0;
    for (std::size_t row = 0; row < 2; ++row) {
      Exact exact;
      for (std::size_t k = 0; k < b.size(); ++k) {
        exact.add(double(a[row * b.size() + k]) * double(b[k]));
      }
      keep_worst(worst, exact.error(double(c.values()[row])));
    }
    return worst;
  }

  static std::vector<double> exact_means(const std::vector<float>& y, std::int64_t channels) {
    std::vector<double> means(std::size_t(channels), 0.0);
    for (std::size_t i = 0; i < y.size(); ++i) means[i % means.size()] += double(y[i]);
    for (double& mean : means) mean /= double(y.size()) / double(channels);
    return means;
  }

  static kernels::Workspace workspace(Out<double>& scratch) {
    return {scratch.data(), scratch.size() * sizeof(double)};
  }
};

// (8 + log2 n) eps of float32, relative to the sum of |x|.
inline double reduction_bound(std::int64_t n) {
  return (8 + std::log2(double(n))) * 0x1p-23;
}

}  // namespace ek::test
