#pragma once
#include <vector>

#include "kernels/head.h"
#include "tests/kernels/numbers.h"

// The classification head on vectors, or on other buffers of numbers, for the tests.
namespace ek::test {

template <class T>
using Vector = std::vector<T>;
template <class Buffer>
auto values_of(const Buffer& x) {
  if constexpr (requires { x.values(); }) {
    return x.values();
  } else {
    return x;
  }
}

// Which options of the loss take part.
enum class HeadLoss { hard, smooth, rich, soft };
constexpr HeadLoss kHeadLosses[] = {HeadLoss::hard, HeadLoss::smooth, HeadLoss::rich,
                                    HeadLoss::soft};
constexpr double kHeadScale = 1.5;  // of rich and soft

// Numbers for every argument. Weights are at most 4 / channels, so that logits are at most 4 and
// with a bias 5. V is a type of buffer.
template <class T, template <class> class V = Vector>
struct HeadInputs {
  using A = kernels::Acc<T>;
  kernels::HeadShape s;
  V<T> x, x_tangent;
  V<A> weight, bias, weight_tangent, bias_tangent, features, dlogits;
  V<A> offset, margin, targets, class_weight, sample_weight;
  V<std::int64_t> labels;
  V<std::uint8_t> mask;

  // The same numbers in other buffers: convert(vector) makes each.
  template <class U, template <class> class W, class F>
  HeadInputs<U, W> in(const F& convert) const {
    using B = kernels::Acc<U>;
    const auto a = [&](const V<A>& v) { return W<B>(convert(B{}, values_of(v))); };
    return {s,
            W<U>(convert(U{}, values_of(x))),
            W<U>(convert(U{}, values_of(x_tangent))),
            a(weight),
            a(bias),
            a(weight_tangent),
            a(bias_tangent),
            a(features),
            a(dlogits),
            a(offset),
            a(margin),
            a(targets),
            a(class_weight),
            a(sample_weight),
            W<std::int64_t>(values_of(labels)),
            W<std::uint8_t>(values_of(mask))};
  }

  kernels::HeadWeights<A> weights(bool with_bias) const {
    return {weight.data(), with_bias ? bias.data() : nullptr};
  }
  kernels::SoftmaxLoss<A> loss(HeadLoss kind) const {
    kernels::SoftmaxLoss<A> l{s.batch, s.classes};
    l.labels = labels.data();
    l.divisor = 4;
    if (kind == HeadLoss::hard) return l;
    l.offset = offset.data();
    l.class_weight = class_weight.data();
    if (kind == HeadLoss::smooth) {
      l.label_smoothing = 0.25;
      return l;
    }
    l.scale = kHeadScale;
    l.margin = margin.data();
    l.sample_weight = sample_weight.data();
    l.mask = mask.data();
    if (kind == HeadLoss::soft) l.targets = targets.data();
    return l;
  }
};

template <class T>
HeadInputs<T> head_inputs(const kernels::HeadShape& s) {
  using A = kernels::Acc<T>;
  HeadInputs<T> in;
  in.s = s;
  const std::int64_t images = s.batch * s.pixels * s.channels, rows = s.batch * s.classes;
  in.x = random_numbers<T>(images, 1);
  in.x_tangent = random_numbers<T>(images, 2);
  const auto small = [&](std::uint32_t seed) {
    auto v = random_numbers<A>(s.classes * s.channels, seed);
    for (A& w : v) w *= A(4) / A(s.channels);
    return v;
  };
  in.weight = small(3);
  in.weight_tangent = small(4);
  in.bias = random_numbers<A>(s.classes, 5);
  in.bias_tangent = random_numbers<A>(s.classes, 6);
  in.features = random_numbers<A>(s.batch * s.channels, 7);
  in.dlogits = random_numbers<A>(rows, 8);
  in.offset = random_numbers<A>(s.classes, 9);
  in.margin = random_numbers<A>(s.classes, 10);
  in.class_weight = random_numbers<A>(s.classes, 11);
  in.sample_weight = random_numbers<A>(s.batch, 12);
  for (std::int64_t i = 0; i < s.batch; ++i) in.labels.push_back(i * 7 % s.classes);
  for (std::int64_t j = 0; j < rows; ++j) {
    const std::int64_t k = j % s.classes;
    in.mask.push_back(j % 5 != 2 || s.classes < 3);
    in.targets.push_back(s.classes == 1 ? 1 : k == 0 || k == s.classes - 1 ? A(0.5) : A(0));
  }
  return in;
}

template <class T>
HeadInputs<double> in_double(const HeadInputs<T>& in) {
  return in.template in<double, Vector>([](double, const auto& v) { return numbers(v); });
}

template <class A>
struct HeadResult {
  std::vector<A> features, logits, losses, dlogits, weighted;
  std::vector<std::uint8_t> correct;
};

template <class B, class T, template <class> class V>
HeadResult<kernels::Acc<T>> head_forward_of(const HeadInputs<T, V>& in, HeadLoss kind, bool bias) {
  using A = kernels::Acc<T>;
  const auto& s = in.s;
  const std::size_t batch = std::size_t(s.batch), rows = std::size_t(s.batch * s.classes);
  V<A> features(std::size_t(s.batch * s.channels)), logits(rows), losses(batch), dlogits(rows),
      weighted(rows);
  V<std::uint8_t> correct(batch);
  V<double> scratch((kernels::head_workspace_bytes<B, T>(s) + 7) / 8);
  kernels::head_forward<B, T>({}, s, in.x.data(), in.weights(bias), in.loss(kind), features.data(),
                              logits.data(),
                              {losses.data(), dlogits.data(), weighted.data(), correct.data()},
                              {scratch.data(), scratch.size() * 8});
  return {values_of(features), values_of(logits),   values_of(losses),
          values_of(dlogits),  values_of(weighted), values_of(correct)};
}

template <class B, class T, template <class> class V>
std::pair<std::vector<kernels::Acc<T>>, std::vector<T>> head_backward_of(
    const HeadInputs<T, V>& in) {
  V<kernels::Acc<T>> dfeatures(std::size_t(in.s.batch * in.s.channels));
  V<T> dx(in.x.size());
  kernels::head_backward<B, T>({}, in.s, in.weight.data(), in.dlogits.data(), dfeatures.data(),
                               dx.data());
  return {values_of(dfeatures), values_of(dx)};
}

template <class B, class T, template <class> class V>
std::pair<std::vector<T>, std::vector<T>> head_weight_gradients_of(const HeadInputs<T, V>& in) {
  V<T> dweight(in.weight.size()), dbias(in.bias.size());
  kernels::head_weight_gradients<B, T>({}, in.s, in.features.data(), in.dlogits.data(),
                                       dweight.data(), dbias.data());
  return {values_of(dweight), values_of(dbias)};
}

template <class A>
struct HeadTangentResult {
  std::vector<A> features, logits, slopes;
};
// `along`: which of x', W' and b' there are, by bit.
template <class B, class T, template <class> class V>
HeadTangentResult<kernels::Acc<T>> head_jvp_of(const HeadInputs<T, V>& in, int along) {
  using A = kernels::Acc<T>;
  const auto& s = in.s;
  V<A> features(std::size_t(s.batch * s.channels)), logits(std::size_t(s.batch * s.classes)),
      slopes(std::size_t(s.batch));
  V<double> scratch((kernels::head_workspace_bytes<B, T>(s) + 7) / 8);
  const kernels::HeadTangents<T> tangents{along & 1 ? in.x_tangent.data() : nullptr,
                                          {along & 2 ? in.weight_tangent.data() : nullptr,
                                           along & 4 ? in.bias_tangent.data() : nullptr}};
  kernels::head_jvp<B, T>({}, s, in.weight.data(), in.features.data(), in.dlogits.data(), tangents,
                          {features.data(), logits.data(), slopes.data()},
                          {scratch.data(), scratch.size() * 8});
  return {values_of(features), values_of(logits), values_of(slopes)};
}

}  // namespace ek::test
