// Capture and replay on the simt device, op by op; tests/data/captured_step_test.cpp has whole
// steps.
#include "engine/graph/graph.h"

#include <cmath>
#include <cstring>
#include <optional>

#include "engine/graph/capture.h"
#include "engine/ops.h"
#include "engine/tensor/dispatch.h"
#include "engine/training/optim.h"
#include "engine/training/step_feed.h"
#include "kernels/elementwise.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/simt_device.h"

using namespace ek;

namespace {

Tensor on_simt(const std::vector<float>& values) {
  return Tensor::from(values, {std::int64_t(values.size())}).to(simt);
}

Tensor number_on_simt(double value) {
  return Tensor::from(std::vector<double>{value}, {}).to(simt);
}

// As a loader would: in place, so that addresses stay.
template <class T>
void set(Tensor& x, const std::vector<T>& values) {
  std::memcpy(x.mutable_raw("set"), values.data(), values.size() * sizeof(T));
}

using Values = std::vector<double>;

}  // namespace

TEST_CASE("a graph runs at replay, not at capture, and reads its numbers anew", "[graph]") {
  if (!has_simt()) return;
  Tensor x = on_simt({1, 2, 3}), scale = number_on_simt(10), sum = on_simt({0, 0, 0}), y;
  Graph graph = Graph::capture(simt, [&] {
    y = ops::affine(x, Number(scale), 1);
    const Tensor zero = Tensor::zeros({3}, DType::float32, simt);
    const Tensor copy = ops::add(y, zero).clone();
    copy_memory(simt, sum.mutable_raw("test"), simt, copy.raw(), copy.bytes());
  });
  CHECK(sum.to_vector() == Values{0, 0, 0});
  graph.replay();
  CHECK(y.to_vector() == Values{11, 21, 31});
  CHECK(sum.to_vector() == Values{11, 21, 31});
  const void* address = y.raw();
  set<double>(scale, {-2});
  set<float>(x, {4, 5, 6});
  graph.replay();
  CHECK(y.raw() == address);
  CHECK(y.to_vector() == Values{-7, -9, -11});
  CHECK(sum.to_vector() == Values{-7, -9, -11});

  CHECK(graph.counts().kernels == 2);
  CHECK(graph.counts().copies == 2);
  CHECK(graph.counts().fills == 1);
  REQUIRE(graph.kernels().size() == 2);
  CHECK(contains(graph.kernels()[0], "map_packed<4, AffineBy<float>"));
  CHECK(contains(graph.kernels()[1], "BinaryOp<"));
  CHECK(graph.device() == simt);
}

TEST_CASE("a capture refuses by name what no graph can hold", "[graph]") {
  if (!has_simt()) return;
  Tensor x = on_simt({1, 2}), one = on_simt({5});
  const Tensor host = Tensor::from(std::vector<float>{1, 2, 3}, {3});
  const auto refusal = [&](const auto& f) { return error_of([&] { Graph::capture(simt, f); }); };
  CHECK(refusal([&] { ops::sum(x).item(); }) == "graph: item() of float32 [] during capture");
  CHECK(refusal([&] { x.to_vector(); }) == "graph: to_vector() of float32 [2] during capture");
  CHECK(refusal([&] { x.to(Device{}); }) == "graph: to(cpu) of float32 [2] during capture");
  CHECK(refusal([&] { host.to(simt); }) == "graph: to(simt) of float32 [3] during capture");
  CHECK(refusal([&] { copy_memory({}, host.clone().output_raw(), simt, x.raw(), 8); }) ==
        "graph: a copy of 8 bytes from simt to cpu during capture");
  CHECK(refusal([&] { synchronise(simt); }) == "graph: synchronise(simt) during capture");
  CHECK(refusal([&] { Tensor::full({2}, 3, DType::int64, simt); }) ==
        "graph: full() of int64 [2] during capture");
  CHECK(refusal([&] { Number(number_on_simt(1)); }) ==
        "graph: to(simt) of float64 [] during capture");
  CHECK(refusal([&] { Graph::capture(simt, [] {}); }) == "graph: a capture of simt during capture");
  CHECK(refusal([&] { PinnedBuffers(simt, 64); }) ==
        "graph: 64 bytes of pinned memory during capture");
  Graph graph = Graph::capture(simt, [&] { ops::neg(x); });
  CHECK(refusal([&] { graph.replay(); }) == "graph: a replay during capture");
  CHECK(error_of([] { Graph::capture(Device{}, [] {}); }) ==
        "graph: the cpu has no graphs; simt and cuda have");
  // The host's own numbers are no concern of the device.
  CHECK(refusal([&] { CHECK(ops::sum(host).item() == 6); }) == "");
}

TEST_CASE("an exception in a capture leaves the device usable", "[graph]") {
  if (!has_simt()) return;
  Tensor x = on_simt({1, 2});
  const auto before = memory_stats();
  CHECK_THROWS_AS(Graph::capture(simt,
                                 [&] {
                                   const Tensor y = ops::neg(x);
                                   throw std::runtime_error("stop");
                                 }),
                  std::runtime_error);
  CHECK(memory_stats().graph_bytes == before.graph_bytes);
  CHECK(memory_stats().live_total_bytes == before.live_total_bytes);
  CHECK(ops::neg(x).to_vector() == Values{-1, -2});
  Tensor y;
  Graph graph = Graph::capture(simt, [&] { y = ops::neg(x); });
  graph.replay();
  CHECK(y.to_vector() == Values{-1, -2});
}

TEST_CASE("two graphs and eager work do not touch each other's memory", "[graph]") {
  if (!has_simt()) return;
  const auto before = memory_stats();
  {
    Tensor x = on_simt({1, 2, 3}), y, z;
    const auto work = [&](double scale) {
      const Tensor inner = ops::affine(x, scale);
      return ops::mul(ops::square(inner), inner);
    };
    std::optional<Graph> cube = Graph::capture(simt, [&] { y = work(1); });
    Graph other = Graph::capture(simt, [&] { z = work(2); });
    CHECK(memory_stats().graph_bytes - before.graph_bytes ==
          cube->memory_bytes() + other.memory_bytes());
    cube->replay();
    other.replay();
    const std::int64_t asked = memory_stats().system_allocations;
    for (int i = 0; i < 3; ++i) {
      const Tensor eager = work(3);
      CHECK(eager.to_vector() == Values{27, 216, 729});
      CHECK(y.to_vector() == Values{1, 8, 27});
      CHECK(z.to_vector() == Values{8, 64, 216});
      cube->replay();
      other.replay();
    }
    CHECK(memory_stats().system_allocations == asked);  // a replay takes no memory
    cube.reset();
    work(4);
    CHECK(y.to_vector() == Values{1, 8, 27});  // an output keeps the memory
  }
  CHECK(memory_stats().graph_bytes == before.graph_bytes);
  CHECK(memory_stats().live_total_bytes == before.live_total_bytes);
}

TEST_CASE("graphs that share memory hold what the largest needs", "[graph]") {
  if (!has_simt()) return;
  const bool poisoned_before = poison_freed_memory(true);
  const auto before = memory_stats();
  {
    const std::int64_t count = 200'000;  // three of them at a time: several chunks
    const Tensor x = Tensor::full({count}, 2, DType::float32, simt);
    const auto work = [&](double scale) {
      const Tensor inner = ops::affine(x, scale);
      return ops::sum(ops::mul(ops::square(inner), inner));
    };
    const GraphMemory memory(simt);
    Tensor y, z, other;
    Graph one = Graph::capture(memory, [&] { y = work(1); });
    const std::int64_t held = memory.held_bytes();
    CHECK(held >= 3 * 4 * count);
    Graph two = Graph::capture(memory, [&] { z = work(2); });
    CHECK(memory.held_bytes() == held);
    CHECK(one.memory_bytes() == held);
    CHECK(memory_stats().graph_bytes - before.graph_bytes == held);
    Graph alone = Graph::capture(simt, [&] { other = work(2); });
    CHECK(memory_stats().graph_bytes - before.graph_bytes == held + alone.memory_bytes());

    alone.replay();
    const Values expected_y{8.0 * double(count)}, expected_z = other.to_vector();
    for (int i = 0; i < 2; ++i) {
      one.replay();
      CHECK(y.to_vector() == expected_y);
      if (i > 0) {
        CHECK(error_of([&] { z.item(); }) ==
              "contents of float32 []: a graph that shares the memory was replayed after the one "
              "that wrote it");
        CHECK(contains(error_of([&] { ops::neg(z); }), "a graph that shares the memory"));
      }
      two.replay();
      two.replay();
      CHECK(z.to_vector() == expected_z);
      CHECK(contains(error_of([&] { y.item(); }), "a graph that shares the memory"));
      CHECK(other.to_vector() == expected_z);
    }
  }
  CHECK(memory_stats().graph_bytes == before.graph_bytes);
  CHECK(memory_stats().live_total_bytes == before.live_total_bytes);
  poison_freed_memory(poisoned_before);
}

TEST_CASE("what a graph uses and the host lets go of stays", "[graph]") {
  if (!has_simt()) return;
  Tensor state = on_simt({1, 2, 3}), y;
  Graph graph = Graph::capture(simt, [&] {
    y = ops::neg(state);
    state = ops::affine(state, 2);  // gives the old block back
  });
  const Tensor taken = on_simt({7, 7, 7});  // would get that block
  graph.replay();
  CHECK(y.to_vector() == Values{-1, -2, -3});
  CHECK(state.to_vector() == Values{2, 4, 6});
}

TEST_CASE("a state that is replaced is written back to its addresses", "[graph]") {
  if (!has_simt()) return;
  const auto next = [](const Params& state) {
    return state.with({ops::affine(state["a"], 2), ops::affine(state["b"], 1, 1)});
  };
  Params state = Params({{"a", on_simt({1, 2})}, {"b", on_simt({3})}}).flattened();
  const void* address = state.flat().raw();
  Graph graph = Graph::capture(simt, [&] {
    const Params once = next(state);
    assign(state, next(once));
  });
  for (int i = 0; i < 3; ++i) graph.replay();
  CHECK(state.flat().raw() == address);
  CHECK(state.flat().to_vector() == Values{64, 128, 9});
  CHECK(graph.counts().copies == 2);  // next() makes tensors one by one
  const Params host = Params(
      {{"a", Tensor::zeros({2}, DType::float32)}, {"b", Tensor::zeros({1}, DType::float32)}});
  CHECK(error_of([&] { assign(state, host); }) ==
        "assign: float32 on simt cannot take float32 on cpu");
  const Saved held(state.flat());
  CHECK(contains(error_of([&] { assign(state, state.clone()); }), "a tape holds 1 saved views"));
}

#ifdef EK_HAS_SIMT_DEVICE
TEST_CASE("poison shows who reads memory that was given back", "[graph]") {
  const bool before = poison_freed_memory(true);
  Tensor x = on_simt({1, 2, 3, 4}), y, z = Tensor::empty({4}, DType::float32, simt);
  const float* gone = nullptr;
  Graph graph = Graph::capture(simt, [&] {
    y = ops::neg(ops::square(x));
    {
      const Tensor inner = ops::square(x);
      gone = inner.data<float>();
    }
    kernels::affine<kernels::Simt, float>({}, 4, 1, 0, gone, z.mutable_data<float>("test"));
  });
  graph.replay();
  CHECK(y.to_vector() == Values{-1, -4, -9, -16});
  for (const double value : z.to_vector()) CHECK(std::isnan(value));
  CHECK(graph.counts().fills == 0);  // those of the poison do not count

  // Outside of graphs: the block is the pool's, and stays readable for the host.
  Tensor eager = on_simt({1, 2});
  const float* values = eager.data<float>();
  eager = {};
  CHECK(std::isnan(values[0]));
  poison_freed_memory(before);
}
#endif

TEST_CASE("a replay makes new versions of what it writes", "[graph]") {
  if (!has_simt()) return;
  Tensor x = on_simt({1, 2}), y;
  Graph graph = Graph::capture(simt, [&] {
    y = ops::neg(x);
    copy_memory(simt, x.mutable_raw("test"), simt, y.raw(), y.bytes());
  });
  const Saved of_x(x), of_y(y);
  graph.replay();
  CHECK(contains(error_of([&] { of_x.get(); }), "was written in place since"));
  CHECK(contains(error_of([&] { of_y.get(); }), "was written in place since"));
}

TEST_CASE("adam in a graph goes by the number of the step in memory", "[graph]") {
  if (!has_simt()) return;
  const auto make = [] { return Params({{"w", on_simt({1, -2, 3, 0.5f, 9})}}).flattened(); };
  const Params gradient = Params({{"w", on_simt({0.3f, 0.1f, -2, 1, 1e-3f})}}).flattened();
  Params eager = make(), captured = make();
  const auto segments = optimizer_segments(eager, 0.01, {});
  Adam one({}), two({});
  const auto rate = [](std::int64_t step) { return 0.1 / double(1 + step); };
  const auto refusal = [&](const Tensor& steps_before) {
    return error_of([&] {
      Graph::capture(simt, [&] { two.step(captured, gradient, 0.1, segments, steps_before); });
    });
  };
  const Tensor zero = Tensor::full({}, 0, DType::int64, simt);
  CHECK(refusal(zero) == "graph: the first step of adam, which makes its state, during capture");
  two.step(captured, gradient, rate(0), segments);
  CHECK(refusal({}) ==
        "graph: a step of adam without steps_before in the device's memory during capture");

  StepFeed feed(simt, {.steps = 2});
  Graph graph = Graph::capture(simt, [&] {
    for (int k = 0; k < 2; ++k) {
      two.step(captured, gradient, feed.number(k), segments, feed.count(k));
    }
  });
  CHECK(two.steps() == 1);
  for (std::int64_t step = 0; step < 7; ++step) one.step(eager, gradient, rate(step), segments);
  for (std::int64_t first = 1; first < 7; first += 2) {
    for (std::int64_t k = 0; k < 2; ++k) {
      feed.set_count(k, 0, first + k);
      feed.set_number(k, 0, rate(first + k));
    }
    feed.send();
    graph.replay();
  }
  CHECK(two.steps() == 7);
  CHECK(captured.flat().to_vector() == eager.flat().to_vector());
  const auto a = one.state(), b = two.state();
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].second.to_vector() == b[i].second.to_vector());
  }
}

TEST_CASE("a step feed keeps its addresses and refuses to send half of it") {
  const Device device = is_available(simt) ? simt : Device{};
  StepFeed feed(device, {.steps = 2, .counts = 2, .numbers = 1, .batches = {3, 1}});
  const Tensor count = feed.count(1, 1), records = feed.records(1, 0);
  const auto fill = [&](std::int64_t base) {
    for (std::int64_t k = 0; k < 2; ++k) {
      feed.set_count(k, 0, base + k);
      feed.set_count(k, 1, base + 10 + k);
      feed.set_number(k, 0, 0.5 * double(base + k));
      const std::vector<std::int64_t> three{base, base + 1, base + k}, one{base + 7 + k};
      feed.set_batch(k, 0, three, std::vector<std::int64_t>{4, 5, 6});
      feed.set_batch(k, 1, one, std::vector<std::int64_t>{base + 9});
    }
  };
  for (const std::int64_t base : {100, 200, 300}) {
    fill(base);
    feed.send();
    CHECK(feed.count(0).item() == double(base));
    CHECK(count.item() == double(base + 11));
    CHECK(feed.number(1).value() == 0.5 * double(base + 1));
    CHECK(records.to_vector() == Values{double(base), double(base + 1), double(base + 1)});
    CHECK(feed.positions(0, 0).to_vector() == Values{4, 5, 6});
    CHECK(feed.records(0, 1).to_vector() == Values{double(base + 7)});
    CHECK(feed.positions(1, 1).to_vector() == Values{double(base + 9)});
  }
  feed.set_count(0, 0, 1);
  CHECK(error_of([&] { feed.send(); }) == "step feed: something of step 0 was not set");
  CHECK(error_of([&] { feed.count(2); }) == "step feed: step 2 of 2");
  CHECK(error_of([&] { feed.set_number(0, 1, 1); }) == "step feed: number 1 of 1");
  const std::vector<std::int64_t> two{1, 2};
  CHECK(error_of([&] { feed.set_batch(0, 0, two, two); }) ==
        "step feed: 2 records and 2 positions for a batch of 3");
  CHECK(contains(error_of([&] { StepFeed(device, {.batches = {0}}); }), "a batch of 0"));
}

TEST_CASE("a number says where it lies") {
  const Tensor half = Tensor::from(std::vector<double>{0.5}, {});
  const Number plain = 3, stored = half;
  CHECK((-plain / 2).value() == -1.5);
  CHECK((2 * -stored).value() == -1);
  CHECK(plain.is_plain());
  CHECK(!stored.is_plain());
  CHECK(ops::affine(Tensor::from(std::vector<double>{4}, {1}), -stored, 1).item() == -1);
  CHECK(contains(error_of([] { Number(Tensor::zeros({2}, DType::float64)); }),
                 "float64 [2], float64 of one element is wanted"));
  if (!is_available(simt)) return;
  CHECK(error_of([&] { ops::affine(on_simt({1}), stored); }) ==
        "affine: a number that lies on cpu beside tensors on simt");
}
