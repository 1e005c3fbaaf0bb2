#include "engine/graph/graph.h"

#include <set>

#include "engine/graph/capture.h"
#include "engine/tensor/tensor.h"

namespace ek {
namespace {

std::unique_ptr<GraphRecorder> recorder_of(Device device) {
  require(device.kind != Device::Kind::cpu, "graph: the cpu has no graphs; simt and cuda have");
  require(is_available(device), "graph: device {} is not here: {}", device.str(),
          why_unavailable(device));
  return device.kind == Device::Kind::cuda ? cuda_recorder(device.index) : simt_recorder();
}

using Storages = std::vector<std::weak_ptr<Storage>>;

void mark_overwritten(const Storages& outputs, bool overwritten) {
  for (const std::weak_ptr<Storage>& output : outputs) {
    if (const auto storage = output.lock()) storage->overwritten = overwritten;
  }
}

}  // namespace

struct GraphMemory::State {
  Device device;
  std::shared_ptr<Arena> arena;
  std::shared_ptr<const Storages> valid = {};  // outputs of the graph that was replayed last
};

GraphMemory::GraphMemory(Device device)
    : state_(std::make_shared<State>(State{device, std::make_shared<Arena>(device)})) {}

Device GraphMemory::device() const {
  return state_->device;
}

std::int64_t GraphMemory::held_bytes() const {
  return state_->arena->held_bytes();
}

struct Graph::State {
  GraphMemory memory;
  std::unique_ptr<GraphRecorder> recorder;
  GraphContents contents;
  std::vector<std::shared_ptr<void>> kept;
  Storages written;
  std::shared_ptr<const Storages> outputs;  // of those what lies in the memory
  std::vector<std::function<void()>> counts;
};

Graph Graph::capture(const GraphMemory& memory, const std::function<void()>& f) {
  auto state = std::make_unique<State>(memory);
  state->recorder = recorder_of(memory.device());
  Arena& arena = *memory.state_->arena;
  Capture capture(memory.device(), *state->recorder, memory.state_->arena);
  state->recorder->begin();
  try {
    f();
  } catch (...) {
    state->recorder->abandon();
    throw;
  }
  state->contents = state->recorder->end();
  state->kept = std::move(capture.kept_);
  state->counts = std::move(capture.counts_);
  std::set<std::weak_ptr<Storage>, std::owner_less<>> once;
  Storages outputs;
  for (const std::weak_ptr<Storage>& weak : capture.written_) {
    const auto storage = weak.lock();
    if (!storage || !once.insert(weak).second) continue;
    state->written.push_back(weak);
    if (arena.has(storage->memory.get())) outputs.push_back(weak);
  }
  state->outputs = std::make_shared<const Storages>(std::move(outputs));
  return Graph(std::move(state));
}

Graph::Graph(std::unique_ptr<State> state) : state_(std::move(state)) {}
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;
Graph::~Graph() = default;

void Graph::replay() {
  refuse_in_capture(device(), [] { return "a replay"; });
  std::shared_ptr<const Storages>& valid = state_->memory.state_->valid;
  if (valid != state_->outputs) {
    if (valid) mark_overwritten(*valid, true);
    mark_overwritten(*state_->outputs, false);
    valid = state_->outputs;
  }
  for (const std::weak_ptr<Storage>& weak : state_->written) {
    if (const auto storage = weak.lock()) ++storage->version;
  }
  state_->recorder->replay();
  for (const auto& count : state_->counts) count();
}

Device Graph::device() const {
  return state_->memory.device();
}

Graph::Counts Graph::counts() const {
  const GraphContents& contents = state_->contents;
  return {std::int64_t(contents.kernels.size()), contents.copies, contents.fills};
}

const std::vector<std::string>& Graph::kernels() const {
  return state_->contents.kernels;
}

std::int64_t Graph::memory_bytes() const {
  return state_->memory.held_bytes();
}

}  // namespace ek
