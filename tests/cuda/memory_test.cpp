// The engine's memory on a device: blocks that come again, statistics, pinned transfers, copies,
// and what is refused.
#include <cstring>
#include <memory>
#include <numeric>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/memory/allocator.h"
#include "engine/memory/pinned.h"
#include "engine/ops.h"
#include "engine/training/step_feed.h"
#include "tests/cuda/devices.h"
#include "tests/error_of.h"

using namespace ek;

namespace {

void check_allocator(Device device) {
  const MemoryStats before = memory_stats(device);
  const std::size_t alignment = device.kind == Device::Kind::cuda ? 256 : 64;
  const void* first = nullptr;
  {
    const MemoryScope use(MemoryUse::workspace);
    const std::shared_ptr<void> block = allocate(device, 1000003);
    first = block.get();
    CHECK(reinterpret_cast<std::uintptr_t>(first) % alignment == 0);
    const MemoryStats with = memory_stats(device);
    const auto live = [](const MemoryStats& s) {
      return s.live_bytes[std::size_t(MemoryUse::workspace)];
    };
    CHECK(live(with) - live(before) == std::int64_t(allocated_bytes(1000003)));
    CHECK(with.peak_total_bytes >= with.live_total_bytes);
  }
  const MemoryStats after = memory_stats(device);
  CHECK(after.live_total_bytes == before.live_total_bytes);
  for (int i = 0; i < 3; ++i) CHECK(allocate(device, 1000003).get() == first);
  CHECK(memory_stats(device).system_allocations == after.system_allocations);
  release_free_memory();
  CHECK(memory_stats(device).reserved_bytes < after.reserved_bytes);
}

// Training asks for no memory once it has run: some steps of eager ops, many times.
void check_steady_state(Device device) {
  const auto step = [&] {
    const Tensor a = Tensor::full({33, 7}, 1.5, DType::float32, device);
    return ops::sum(ops::matmul(ops::relu(a), Tensor::full({7, 5}, 2, DType::float32, device)))
        .item();
  };
  CHECK(step() == 33 * 5 * 7 * 3.0);
  const std::int64_t asked = memory_stats(device).system_allocations;
  for (int i = 0; i < 10; ++i) CHECK(step() == 33 * 5 * 7 * 3.0);
  CHECK(memory_stats(device).system_allocations == asked);
}

void check_copies(Device device) {
  for (const std::int64_t size : {1, 3, 1000, 100001}) {
    std::vector<std::int64_t> numbers(static_cast<std::size_t>(size));
    std::iota(numbers.begin(), numbers.end(), -size / 2);
    const Tensor here = Tensor::from(numbers, {size});
    Tensor there = here.to(device);
    CHECK(there.device() == device);
    const Tensor copy = there.clone();
    CHECK(std::memcmp(copy.to(Device{}).raw(), here.raw(), here.bytes()) == 0);
    CHECK(copy.to(device).raw() == copy.raw());  // itself
    // Of a part, and zeros over it.
    const Tensor last = there.slice(size - 1, {1}).clone();
    zero_memory(device, there.mutable_raw("test"), there.bytes());
    CHECK(last.to_vector() == std::vector<double>{double(numbers.back())});
    CHECK(there.to_vector() == std::vector<double>(std::size_t(size), 0.0));
  }
}

// Two buffers in turn: what was sent is what was written then, however soon the host writes again.
void check_pinned(Device device) {
  constexpr std::int64_t words = 5000;
  PinnedBuffers buffers(device, words * sizeof(std::int64_t));
  Tensor target = Tensor::zeros({words}, DType::int64, device);
  Tensors sent;
  for (std::int64_t round = 0; round < 20; ++round) {
    auto* memory = static_cast<std::int64_t*>(buffers.begin());
    std::fill(memory, memory + words, round);
    buffers.send(target);
    sent.push_back(target.clone());
  }
  for (std::size_t round = 0; round < sent.size(); ++round) {
    CHECK(sent[round].to_vector() == std::vector<double>(std::size_t(words), double(round)));
  }
  Tensor small = Tensor::zeros({3}, DType::int64, device);
  CHECK(contains(error_of([&] { buffers.send(small); }), "pinned: "));
}

void check_errors(Device device) {
  // Labels and indices out of range name the sample.
  const Tensor logits = Tensor::zeros({3, 4}, DType::float32, device);
  const Tensor labels = Tensor::from(std::vector<std::int64_t>{1, 9, 0}, {3}).to(device);
  CHECK(contains(error_of([&] { ops::softmax_cross_entropy(logits, labels); }),
                 "labels[1] = 9 is not in [0, 4)"));
  // Operands of two devices.
  CHECK(error_of([&] { ops::add(logits, Tensor::zeros({3, 4}, DType::float32)); }) != "");
  CHECK(error_of([&] { ops::matmul(logits, logits); }) != "");
  // Reading a number in a capture, which leaves the device usable.
  const std::string during =
      error_of([&] { Graph::capture(device, [&] { ops::sum(logits).item(); }); });
  CHECK(contains(during, "graph: "));
  CHECK(contains(during, "during capture"));
  CHECK(ops::sum(Tensor::full({4}, 2, DType::float32, device)).item() == 8);
}

// A graph's memory is its own, and goes back with it.
void check_graph_memory(Device device) {
  const std::int64_t before = memory_stats(device).graph_bytes;
  const Tensor x = Tensor::full({1000}, 3, DType::float32, device);
  {
    Tensor y;
    Graph graph = Graph::capture(device, [&] { y = ops::relu(ops::add(x, x)); });
    CHECK(graph.memory_bytes() >= std::int64_t(y.bytes()));
    CHECK(memory_stats(device).graph_bytes - before == graph.memory_bytes());
    graph.replay();
    const Tensor other = Tensor::full({1000}, -1, DType::float32, device);
    CHECK(y.to_vector() == std::vector<double>(1000, 6.0));
    CHECK(other.to_vector() == std::vector<double>(1000, -1.0));
  }
  CHECK(memory_stats(device).graph_bytes == before);
}

void check_all(Device device) {
  check_allocator(device);
  check_steady_state(device);
  check_copies(device);
  check_pinned(device);
  check_errors(device);
  check_graph_memory(device);
}

}  // namespace

TEST_CASE("gpu: memory, copies and errors", "[.gpu]") {
  require_gpu();
  check_all(gpu);
}

TEST_CASE("gpu: memory that is not to be had is an error, and the next op runs", "[.gpu]") {
  require_gpu();
  const std::size_t too_much = std::size_t(1) << 50;
  const std::string error = error_of([&] { allocate(gpu, too_much); });
  CHECK(contains(error, "bytes of memory are not to be had on cuda:0, where "));
  check_steady_state(gpu);
}

TEST_CASE("simt: memory, copies and errors", "[simt]") {
  if (!has_simt()) return;
  check_all(simt);
}
