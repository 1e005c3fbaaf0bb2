// Packs of convolution weights: made once for a version of the contents, shared by every pass that
// reads them. And the ops on bfloat16 images, whose weights exist for the kernels as packs alone.
#include <thread>

#include "engine/autodiff/functional.h"
#include "engine/ops.h"
#include "engine/profile/profiler.h"
#include "engine/training/optim.h"
#include "tests/catch.h"
#include "tests/engine/gradcheck.h"

namespace {

using ek::DType;
using ek::Params;
using ek::Shape;
using ek::Tensor;
using ek::Tensors;
using ek::ops::Conv2dOptions;

const Conv2dOptions same{.padding = {1, 1}};

// How many packs were made meanwhile.
std::int64_t packs_made(const std::function<void()>& body) {
  ek::profiler_start();
  body();
  std::int64_t count = 0;
  for (const ek::ProfileEvent& event : ek::profiler_stop()) count += event.name == "conv2d_pack";
  return count;
}

Tensor random(const Shape& shape, std::uint64_t seed, DType dtype) {
  return random_tensor(shape, seed).to(dtype);
}

double inner(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector(), y = b.to_vector();
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
  return sum;
}

std::int64_t workspace_bytes() {
  return ek::memory_stats().live_bytes[std::size_t(ek::MemoryUse::workspace)];
}

}  // namespace

// On double images every pass reads a pack, with oneDNN or without.
TEST_CASE("conv2d: weights are packed once for all passes of a kind", "[conv2d]") {
  const Tensor x = random_tensor({3, 6, 6, 4}, 1), w = random_tensor({8, 3, 3, 4}, 2);
  const Tensor dx = random_tensor({3, 6, 6, 4}, 3), dw = random_tensor({8, 3, 3, 4}, 4);
  const Tensor ct = random_tensor({3, 6, 6, 8}, 5);
  const auto conv = [](const Tensors& in) { return Tensors{ek::ops::conv2d(in[0], in[1], same)}; };

  SECTION("forward, tangent and backward") {
    const std::int64_t before = workspace_bytes();
    ek::LinearMap map;
    REQUIRE(packs_made([&] { map = ek::linearize_tensors(conv, {x, w}); }) == 1);
    REQUIRE(workspace_bytes() > before);
    REQUIRE(packs_made([&] { map.vjp({ct}); }) == 1);      // the transposed weights
    REQUIRE(packs_made([&] { map.vjp({ct}); }) == 0);      // known
    REQUIRE(packs_made([&] { map.jvp({dx, dw}); }) == 1);  // of dw alone
    REQUIRE(packs_made([&] { map.jvp({dx, dw}); }) == 0);
    REQUIRE(packs_made([&] { map.jvp({dx, {}}); }) == 0);
  }
  SECTION("another batch shares them, another image size does not") {
    const Tensor more = random_tensor({7, 6, 6, 4}, 6), larger = random_tensor({3, 8, 6, 4}, 7);
    REQUIRE(packs_made([&] { ek::ops::conv2d(x, w, same); }) == 1);
    REQUIRE(packs_made([&] { ek::ops::conv2d(more, w, same); }) == 0);
    REQUIRE(packs_made([&] { ek::ops::conv2d(larger, w, same); }) == 1);
  }
  SECTION("they die with the storage") {
    const std::int64_t before = workspace_bytes();
    {
      const Tensor copy = w.clone();
      ek::ops::conv2d(x, copy, same);
      REQUIRE(workspace_bytes() > before);
    }
    REQUIRE(workspace_bytes() == before);
  }
}

TEST_CASE("conv2d: weights are packed again after a write in place", "[conv2d]") {
  for (DType dtype : {DType::float64, DType::bfloat16}) {
    INFO(ek::name_of(dtype));
    const DType weights = ek::accumulation_dtype(dtype);
    const Tensor x = random({3, 6, 6, 4}, 1, dtype);
    // Two layers of one flat buffer.
    Params params =
        Params({{"a", random({4, 3, 3, 4}, 2, weights)}, {"b", random({4, 3, 3, 4}, 3, weights)}})
            .flattened();
    const auto run = [&] {
      return ek::ops::conv2d(ek::ops::conv2d(x, params["a"], same), params["b"], same);
    };
    Tensor y;
    REQUIRE(packs_made([&] { y = run(); }) == 2);
    REQUIRE(packs_made([&] { run(); }) == 0);

    ek::Sgd sgd({});
    sgd.step(params, params.clone(), 0.5, ek::optimizer_segments(params, 0, {}));
    Tensor stepped;
    REQUIRE(packs_made([&] { stepped = run(); }) == 2);
    REQUIRE(packs_made([&] { run(); }) == 0);

    // Half the weights in each layer: a quarter of the output, exactly.
    const Tensor quarter =
        ek::ops::conv2d(ek::ops::conv2d(x, params["a"].clone(), same), params["b"].clone(), same);
    REQUIRE(relative_error(stepped, quarter) == 0);
    REQUIRE(std::abs(4 * inner(stepped, y) - inner(y, y)) <= 1e-12 * inner(y, y));
  }
}

TEST_CASE("conv2d: threads share packs", "[conv2d]") {
  const Tensor x = random_tensor({2, 6, 6, 4}, 1), w = random_tensor({8, 3, 3, 4}, 2);
  const Tensor expected = ek::ops::conv2d(x, w.clone(), same);
  std::vector<Tensor> got(8);
  const std::int64_t packs = packs_made([&] {
    std::vector<std::thread> threads;
    for (Tensor& y : got) threads.emplace_back([&] { y = ek::ops::conv2d(x, w, same); });
    for (std::thread& thread : threads) thread.join();
  });
  REQUIRE(packs == 1);
  for (const Tensor& y : got) REQUIRE(relative_error(y, expected) == 0);
}

TEST_CASE("conv2d: bfloat16 images, float32 weights", "[conv2d]") {
  struct Case {
    Shape x, weight, y;
    Conv2dOptions options;
  };
  for (const Case& c :
       {Case{{4, 8, 8, 16}, {16, 3, 3, 16}, {4, 8, 8, 16}, same},
        Case{{3, 8, 8, 3}, {16, 3, 3, 3}, {3, 8, 8, 16}, same},
        Case{
            {2, 8, 8, 16}, {32, 3, 3, 16}, {2, 4, 4, 32}, {.stride = {2, 2}, .padding = {1, 1}}}}) {
    INFO(c.x.str());
    const Tensor x = random(c.x, 1, DType::bfloat16), dx = random(c.x, 3, DType::bfloat16);
    const Tensor w = random(c.weight, 2, DType::bfloat16).to(DType::float32);
    const Tensor dw = random(c.weight, 4, DType::bfloat16).to(DType::float32);
    const Tensor ct = random(c.y, 5, DType::bfloat16);
    const auto conv = [&](const Tensors& in) {
      return Tensors{ek::ops::conv2d(in[0], in[1], c.options)};
    };
    const auto wide = [](const Tensors& in) {
      Tensors out;
      for (const Tensor& t : in) out.push_back(t.to(DType::float64));
      return out;
    };
    const ek::LinearMap map = ek::linearize_tensors(conv, {x, w});
    const ek::LinearMap exact = ek::linearize_tensors(conv, wide({x, w}));
    // Half a unit in the last place of the largest entry.
    constexpr double rounding = 0x1p-8;
    const Tensor y = map.outputs()[0], tangent = map.jvp({dx, dw})[0];
    const Tensors cotangents = map.vjp({ct}), exact_cotangents = exact.vjp(wide({ct}));
    REQUIRE(y.dtype() == DType::bfloat16);
    REQUIRE(tangent.dtype() == DType::bfloat16);
    REQUIRE(cotangents[0].dtype() == DType::bfloat16);
    REQUIRE(cotangents[1].dtype() == DType::float32);
    REQUIRE(relative_error(y, exact.outputs()[0]) <= rounding);
    REQUIRE(relative_error(tangent, exact.jvp(wide({dx, dw}))[0]) <= rounding);
    REQUIRE(relative_error(cotangents[0], exact_cotangents[0]) <= rounding);
    REQUIRE(relative_error(cotangents[1], exact_cotangents[1]) <= 1e-5);  // float32 sums
  }
}
