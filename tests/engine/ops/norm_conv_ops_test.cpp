// The fused unit norm_conv and the first layer conv_stats: values and derivatives against the ops
// that they are made of, in every precision, and their own bits.
#include <cstring>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"
#include "tests/threads.h"

namespace {

using ek::DType;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;

struct Case {
  const char* name;
  Shape x, weight;
  std::int64_t stride;
  bool relu, shortcut, running;
  bool keep = true;  // the activation
};

// More images than slices, so that slices of two lengths occur; odd extents and channels.
const std::vector<Case> cases{
    {"plain", {11, 4, 4, 3}, {5, 3, 3, 3}, 1, true, false, false},
    {"shortcut", {9, 5, 3, 2}, {2, 3, 3, 2}, 1, true, true, false},
    {"stride 2, no ReLU", {3, 5, 4, 4}, {6, 3, 3, 4}, 2, false, true, false},
    {"running statistics", {2, 4, 4, 3}, {3, 3, 3, 3}, 1, true, true, true},
    {"one image, one channel", {1, 6, 5, 1}, {1, 3, 3, 1}, 1, true, false, false},
    {"activation not kept", {10, 4, 3, 3}, {4, 3, 3, 3}, 1, true, true, false, false},
    {"not kept, running statistics", {9, 3, 3, 2}, {3, 3, 3, 2}, 1, true, false, true, false},
};

constexpr ek::ops::Conv2dOptions options_of(const Case& c) {
  return {.stride = {c.stride, c.stride}, .padding = {1, 1}};
}

// y, mean, var, gamma, beta, weight[, shortcut]; y and shortcut in `images`.
Tensors inputs_of(const Case& c, DType images = DType::float64) {
  const Shape channels{c.x.back()};
  const DType sums = ek::accumulation_dtype(images);
  Tensors in{random_tensor(c.x, 1).to(images),
             random_tensor(channels, 2, 0.3).to(sums),
             ek::ops::affine(ek::ops::square(random_tensor(channels, 3)), 1, 0.5).to(sums),
             random_tensor(channels, 4, 0.3, 1).to(sums),
             random_tensor(channels, 5, 0.3).to(sums),
             random_tensor(c.weight, 6, 0.5).to(sums)};
  if (c.shortcut) in.push_back(random_tensor(c.x, 7).to(images));
  return in;
}

std::optional<ek::ops::ChannelStats> running_of(const Case& c, DType sums) {
  if (!c.running) return std::nullopt;
  const Shape channels{c.weight[0]};
  return ek::ops::ChannelStats{Tensor::zeros(channels, sums), Tensor::full(channels, 1, sums)};
}

Tensors outputs_of(const Case& c, Tensors values) {
  if (c.running) values.resize(2);  // the statistics are constants
  if (!c.keep) values.erase(values.begin());
  return values;
}

// [act,] out[, mean, var]
ek::TensorFunction fused(const Case& c) {
  return [&c](const Tensors& t) {
    const ek::ops::NormConv u = ek::ops::norm_conv(
        {t[0], {t[1], t[2]}}, t[3], t[4], c.shortcut ? t[6] : Tensor(), {1e-5, c.relu}, t[5],
        options_of(c), running_of(c, t[5].dtype()), c.keep);
    return outputs_of(c, {u.activation, u.out.y, u.out.stats.mean, u.out.stats.var});
  };
}

ek::TensorFunction parts(const Case& c) {
  return [&c](const Tensors& t) {
    const Tensor act = ek::ops::norm_act(t[0], {t[1], t[2]}, t[3], t[4],
                                         c.shortcut ? t[6] : Tensor(), {1e-5, c.relu});
    const Tensor out = ek::ops::conv2d(act, t[5], options_of(c));
    const ek::ops::ChannelStats stats = ek::ops::channel_stats(out);
    return outputs_of(c, {act, out, stats.mean, stats.var});
  };
}

Tensors directions(const Tensors& like, std::uint64_t seed) {
  Tensors result;
  for (const Tensor& t : like) {
    result.push_back(random_tensor(t.shape(), ++seed).to(t.dtype()));
  }
  return result;
}

// Largest relative_error over the tensors.
double worst(const Tensors& a, const Tensors& b) {
  REQUIRE(a.size() == b.size());
  double error = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double e = relative_error(a[i].to(DType::float64), b[i].to(DType::float64));
    if (!(e <= error)) error = e;
  }
  return error;
}

std::vector<unsigned char> bytes_of(const Tensors& tensors) {
  std::vector<unsigned char> all;
  for (const Tensor& t : tensors) {
    const auto* data = static_cast<const unsigned char*>(t.raw());
    all.insert(all.end(), data, data + t.bytes());
  }
  return all;
}

}  // namespace

TEST_CASE("norm_conv: derivatives of every order, and its composition", "[norm]") {
  for (const Case& c : cases) {
    INFO(c.name);
    check_gradients(c.name, fused(c), inputs_of(c));
    check_fused_composition(c.name, fused(c), inputs_of(c));
  }
}

TEST_CASE("norm_conv: values and derivatives equal those of its parts", "[norm]") {
  // Rounding of sums in another order; in bf16 besides, the parts round what the unit keeps in
  // float32 (the sum of two cotangents), up to half a unit of 2^-8 each time.
  const std::vector<std::pair<DType, double>> tolerances{
      {DType::float64, 1e-13}, {DType::float32, 2e-5}, {DType::bfloat16, 2e-2}};
  for (const auto& [dtype, tolerance] : tolerances) {
    for (const Case& c : cases) {
      INFO(c.name << " " << ek::name_of(dtype));
      const Tensors in = inputs_of(c, dtype);
      ek::LinearMap unit = ek::linearize_tensors(fused(c), in);
      ek::LinearMap reference = ek::linearize_tensors(parts(c), in);
      REQUIRE(worst(unit.outputs(), reference.outputs()) <= tolerance);
      const Tensors ct = directions(unit.outputs(), 20), v = directions(in, 40);
      REQUIRE(worst(unit.vjp(ct), reference.vjp(ct)) <= tolerance);
      REQUIRE(worst(unit.jvp(v), reference.jvp(v)) <= tolerance);

      // Only some of the cotangents and tangents: the rest is zero.
      for (std::size_t only = 0; only < ct.size(); ++only) {
        Tensors one(ct.size());
        one[only] = ct[only];
        REQUIRE(worst(unit.vjp(one), reference.vjp(one)) <= tolerance);
      }
      for (std::size_t only = 0; only < v.size(); ++only) {
        Tensors one(v.size());
        one[only] = v[only];
        REQUIRE(worst(unit.jvp(one), reference.jvp(one)) <= tolerance);
      }
    }
  }
}

TEST_CASE("conv_stats: derivatives of every order, with and without those of x", "[norm]") {
  const Tensor x = random_tensor({10, 4, 5, 3}, 1), w = random_tensor({4, 3, 3, 3}, 2, 0.5);
  const ek::ops::Conv2dOptions options{.padding = {1, 1}};
  auto outputs = [](const ek::ops::PreNorm& p) { return Tensors{p.y, p.stats.mean, p.stats.var}; };
  check_gradients("conv_stats of x and weight",
                  [&](const Tensors& t) {
                    return outputs(ek::ops::conv_stats(t[0], t[1], options, std::nullopt));
                  },
                  {x, w});
  check_gradients("conv_stats of weight",
                  [&](const Tensors& t) {
                    return outputs(ek::ops::conv_stats(x, t[0], options, std::nullopt));
                  },
                  {w});
}

TEST_CASE("norm_conv: the same bits for any number of threads", "[norm]") {
  for (const DType dtype : {DType::float64, DType::float32, DType::bfloat16}) {
    for (const Case& c : cases) {
      INFO(c.name << " " << ek::name_of(dtype));
      const Tensors in = inputs_of(c, dtype);
      auto everything = [&](int threads) {
        const Threads scope(threads);
        const ek::LinearMap unit = ek::linearize_tensors(fused(c), in);
        Tensors all = unit.outputs();
        for (const Tensor& t : unit.vjp(directions(unit.outputs(), 20))) all.push_back(t);
        for (const Tensor& t : unit.jvp(directions(in, 40))) all.push_back(t);
        return bytes_of(all);
      };
      const auto one = everything(1);
      REQUIRE(everything(2) == one);
      REQUIRE(everything(4) == one);
    }
  }
}
