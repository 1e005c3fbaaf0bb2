#pragma once
#include <utility>
#include <vector>

#include "kernels/norm.h"
#include "tests/kernels/numbers.h"

// The batch-norm kernels on vectors, for the tests.
namespace ek::test {

template <class T>
struct NormResult {
  std::vector<T> dy, dshortcut;
  std::vector<kernels::Acc<T>> dmean, dvar, dgamma, dbeta;

  std::vector<double> flat() const {
    std::vector<double> all = numbers(dy);
    for (T v : dshortcut) all.push_back(number(v));
    for (const auto* part : {&dmean, &dvar, &dgamma, &dbeta}) {
      all.insert(all.end(), part->begin(), part->end());
    }
    return all;
  }
};

template <class T>
struct NormCase {
  using A = kernels::Acc<T>;

  NormCase(std::int64_t rows, std::int64_t channels, bool relu)
      : rows(rows),
        channels(channels),
        relu(relu),
        y(random_numbers<T>(rows * channels, 1)),
        shortcut(random_numbers<T>(rows * channels, 2)),
        gamma(random_numbers<A>(channels, 3)),
        beta(random_numbers<A>(channels, 4)),
        mean(channels),
        var(channels),
        scratch(kernels::norm_workspace_bytes<kernels::Cpu, T>(rows, channels) / 8) {
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = nearest<T>(number(y[i]) + 0.3 * double(i % std::size_t(channels) % 7));
    }
  }

  kernels::Workspace workspace() { return {scratch.data(), scratch.size() * 8}; }
  kernels::NormParams<T> params() const {
    return {rows, channels, eps, relu, mean.data(), var.data(), gamma.data(), beta.data()};
  }

  void run_stats() {
    kernels::channel_stats_forward<kernels::Cpu, T>({}, rows, channels, y.data(), mean.data(),
                                                    var.data(), workspace());
  }
  // -> mean_tangent, var_tangent
  std::pair<std::vector<A>, std::vector<A>> stats_jvp(const std::vector<T>& y_tangent) {
    std::vector<A> mean_tangent(mean.size()), var_tangent(mean.size());
    kernels::channel_stats_jvp<kernels::Cpu, T>({}, rows, channels, y.data(), mean.data(),
                                                y_tangent.data(), mean_tangent.data(),
                                                var_tangent.data(), workspace());
    return {mean_tangent, var_tangent};
  }
  // With the shortcut, unless it is empty.
  std::vector<T> forward() const {
    std::vector<T> act(y.size());
    kernels::norm_act_forward<kernels::Cpu, T>(
        {}, params(), y.data(), shortcut.empty() ? nullptr : shortcut.data(), act.data());
    return act;
  }
  NormResult<T> vjp(const std::vector<T>& act, const std::vector<T>& dact) {
    NormResult<T> r{std::vector<T>(y.size()),    std::vector<T>(y.size()),
                    std::vector<A>(mean.size()), std::vector<A>(mean.size()),
                    std::vector<A>(mean.size()), std::vector<A>(mean.size())};
    kernels::norm_act_vjp<kernels::Cpu, T>({}, params(), y.data(), act.data(), dact.data(),
                                           {r.dy.data(), r.dshortcut.data(), r.dmean.data(),
                                            r.dvar.data(), r.dgamma.data(), r.dbeta.data()},
                                           workspace());
    return r;
  }

  // The same case in double, numbers as T holds them.
  NormCase<double> exact() const {
    NormCase<double> wide(rows, channels, relu);
    wide.eps = eps;
    wide.y = numbers(y);
    wide.shortcut = numbers(shortcut);
    wide.gamma = numbers(gamma);
    wide.beta = numbers(beta);
    wide.mean = numbers(mean);
    wide.var = numbers(var);
    return wide;
  }

  std::int64_t rows, channels;
  bool relu;
  double eps = 1e-5;
  std::vector<T> y, shortcut;
  std::vector<A> gamma, beta, mean, var;
  std::vector<double> scratch;
};

}  // namespace ek::test
