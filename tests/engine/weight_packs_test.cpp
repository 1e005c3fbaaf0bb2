// Packs written by whoever writes the weights: which launches there are, that the packs say what
// the weights say, and that nobody's pack is written under him.
#include "engine/training/weight_packs.h"

#include "engine/autodiff/functional.h"
#include "engine/graph/launch_trace.h"
#include "engine/ops.h"
#include "engine/ops/weight_pack.h"
#include "engine/training/optim.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"

namespace {

using namespace ek;
using kernels::Conv2dPass;

constexpr Device simt{Device::Kind::simt, 0};
const ops::Conv2dOptions same{.padding = {1, 1}};

Tensor random(const Shape& shape, std::uint64_t seed, DType dtype = DType::float32) {
  return random_tensor(shape, seed).to(dtype).to(simt);
}

// Two convolutions and, between their weights, a bias that is in no pack.
Params weights(std::uint64_t seed) {
  return Params({{"a", random({8, 3, 3, 4}, seed)},
                 {"bias", random({5}, seed + 1)},
                 {"b", random({4, 3, 3, 8}, seed + 2)}})
      .flattened();
}

Tensor network(const Params& p, const Tensor& x) {
  return ops::conv2d(ops::conv2d(x, p["a"], same), p["b"], same);
}

std::int64_t launches_of(const LaunchTrace& trace, const std::string& part) {
  std::int64_t count = 0;
  for (const auto& launch : trace.launches())
    count += launch.kernel.find(part) != std::string::npos;
  return count;
}

// Outputs of every pass with these weights, which may have packs, and with a copy, which has none.
void require_right_packs(const Params& p, const Tensor& x) {
  const auto run = [&](const Params& q) {
    const auto lin = linearize([&](const Params& r) { return network(r, x); }, q);
    const Tensor ct = random(lin.value().shape(), 77, x.dtype());
    const Params gradient = lin.vjp(ct);
    return std::tuple(lin.value().to_vector(), gradient["a"].to_vector(), gradient["b"].to_vector(),
                      lin.jvp(q).to_vector());
  };
  const LaunchTrace trace;
  const auto ours = run(p);
  REQUIRE(launches_of(trace, "conv_pack") == 0);
  REQUIRE(ours == run(p.clone()));
}

// The passes of a step, after which the storage of p has packs of three kinds.
Params gradient_of(const Params& p, const Tensor& x) {
  const auto lin = linearize([&](const Params& r) { return network(r, x); }, p);
  return lin.vjp(random(lin.value().shape(), 5, x.dtype()));
}

const void* pack_of(const Tensor& weight) {
  const kernels::Conv2dShape g{1, 6, 6, 4, 8, 3, 3, 1, 1, 1, 1};
  return kernels::ConvPack(
             ops::WeightPack::of<kernels::Simt, float>(weight, g, Conv2dPass::forward))
      .data;
}

}  // namespace

TEST_CASE("an optimiser step writes the packs of its weights", "[packs]") {
  if (!is_available(simt)) return;
  for (DType dtype : {DType::float32, DType::bfloat16}) {
    INFO(name_of(dtype));
    Params p = weights(1);
    const Tensor x = random({2, 6, 6, 4}, 9, dtype);
    const std::vector<kernels::OptimSegment> all{{0, 100, 1, 1e-3, true},
                                                 {100, p.numel(), 1, 1e-3, false}};
    Sgd sgd({.momentum = 0.9});
    Adam adam({});
    for (int i = 0; i < 2; ++i) {
      for (Optimizer* optimizer : {(Optimizer*)(&sgd), (Optimizer*)(&adam)}) {
        const Params gradient = gradient_of(p, x);
        const LaunchTrace trace;
        optimizer->step(p, gradient, 0.1, all);
        CHECK(trace.count() == 1 + (i == 0 ? optimizer == &sgd ? 1 : 2 : 0));  // with the zeros
        require_right_packs(p, x);
      }
    }
  }
}

TEST_CASE("images of both types: both kinds of packs are written", "[packs]") {
  if (!is_available(simt)) return;
  Params p = weights(1);
  const Tensor x = random({2, 6, 6, 4}, 9), half = x.to(DType::bfloat16);
  gradient_of(p, half);
  const Params gradient = gradient_of(p, x);
  Sgd sgd({});
  sgd.step(p, gradient, 0.1, std::vector<kernels::OptimSegment>{{0, p.numel()}});
  require_right_packs(p, x);
  require_right_packs(p, half);
}

TEST_CASE("packs are written in place, unless somebody holds them", "[packs]") {
  if (!is_available(simt)) return;
  Params p = weights(1);
  const Tensor x = random({2, 6, 6, 4}, 9);
  const std::vector<kernels::OptimSegment> all{{0, p.numel()}};
  Sgd sgd({});
  const Params gradient = gradient_of(p, x);
  const void* before = pack_of(p["a"]);
  sgd.step(p, gradient, 0.1, all);
  CHECK(pack_of(p["a"]) == before);

  const kernels::Conv2dShape g{1, 6, 6, 4, 8, 3, 3, 1, 1, 1, 1};
  const auto held = ops::WeightPack::of<kernels::Simt, float>(p["a"], g, Conv2dPass::forward);
  const std::size_t bytes =
      kernels::conv2d_pack_bytes<kernels::Simt, float>(g, Conv2dPass::forward);
  const auto* memory = static_cast<const std::uint8_t*>(kernels::ConvPack(held).data);
  const std::vector<std::uint8_t> old(memory, memory + bytes);
  sgd.step(p, gradient, 0.1, all);
  CHECK(std::equal(old.begin(), old.end(), memory));
  const LaunchTrace trace;
  CHECK(pack_of(p["a"]) != before);
  CHECK(launches_of(trace, "conv_pack") == 1);
}

TEST_CASE("a virtual step writes its packs, at the same place every time", "[packs]") {
  if (!is_available(simt)) return;
  for (DType dtype : {DType::float32, DType::bfloat16}) {
    INFO(name_of(dtype));
    Params p = weights(1);
    const Tensor x = random({2, 6, 6, 4}, 9, dtype);
    const Params gradient = gradient_of(p, x);
    const void* place = nullptr;
    for (int i = 0; i < 3; ++i) {
      const LaunchTrace trace;
      const Params moved = add_scaled(p, -0.1, gradient);
      CHECK(trace.count() == (i == 0 ? 2 : 1));
      require_right_packs(moved, x);
      if (dtype == DType::bfloat16) continue;
      if (i > 0) CHECK(pack_of(moved["a"]) == place);
      place = pack_of(moved["a"]);
    }
    // Two at a time have packs of their own.
    const Params up = add_scaled(p, 0.1, gradient), down = add_scaled(p, -0.1, gradient);
    require_right_packs(up, x);
    require_right_packs(down, x);
  }
}

TEST_CASE("a tangent sweep packs its direction in one launch", "[packs]") {
  if (!is_available(simt)) return;
  const Params p = weights(1), direction = weights(20);
  const Tensor x = random({2, 6, 6, 4}, 9);
  const auto lin = linearize([&](const Params& r) { return network(r, x); }, p);
  const auto lazily = lin.jvp(Params(direction.entries())).to_vector();  // not flat
  const LaunchTrace trace;
  const auto ours = lin.jvp(direction.clone()).to_vector();
  CHECK(launches_of(trace, "conv_pack") == 0);
  CHECK(launches_of(trace, "pack_all") == 1);
  CHECK(ours == lazily);
}

TEST_CASE("flat copies and gradients are gathered in one launch", "[packs]") {
  if (!is_available(simt)) return;
  const Params p = weights(1);
  const Tensor x = random({2, 6, 6, 4}, 9);
  CHECK(gradient_of(p, x).is_flat());
  const LaunchTrace trace;
  const Params copy = Params(p.entries()).flattened();
  CHECK(trace.count() == 1);
  CHECK(copy.flat().to_vector() == p.flat().to_vector());
}
