#include "engine/graph.h"

#include <set>

#include "engine/capture.h"
#include "engine/tensor.h"

namespace ek {
namespace {

std::unique_ptr<GraphRecorder> recorder_of(Device device) {
  require(device.kind != Device::Kind::cpu, "graph: the cpu has no graphs; simt and cuda have");
  require(is_available(device), "graph: device {} is not here: {}", device.str(),
          why_unavailable(device));
  return device.kind == Device::Kind::cuda ? cuda_recorder(device.index) : simt_recorder();
}

}  // namespace

struct Graph::State {
  Device device;
  std::shared_ptr<Arena> arena;
  std::unique_ptr<GraphRecorder> recorder;
  GraphContents contents;
  std::vector<std::shared_ptr<void>> kept;
  std::vector<std::weak_ptr<Storage>> written;
  std::vector<std::function<void()>> counts;
};

Graph Graph::capture(Device device, const std::function<void()>& f) {
  auto state = std::make_unique<State>();
  state->device = device;
  state->recorder = recorder_of(device);
  state->arena = std::make_shared<Arena>(device);
  Capture capture(device, *state->recorder, state->arena);
  state->recorder->begin();
  try {
    f();
  } catch (...) {
    state->recorder->abandon();
    throw;
  }
  state->contents = state->recorder->end();
  state->arena->close();
  state->kept = std::move(capture.kept_);
  state->counts = std::move(capture.counts_);
  std::set<std::weak_ptr<Storage>, std::owner_less<>> once;
  for (const std::weak_ptr<Storage>& storage : capture.written_) {
    if (!storage.expired() && once.insert(storage).second) state->written.push_back(storage);
  }
  return Graph(std::move(state));
}

Graph::Graph(std::unique_ptr<State> state) : state_(std::move(state)) {}
Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;
Graph::~Graph() = default;

void Graph::replay() {
  refuse_in_capture(state_->device, [] { return "a replay"; });
  for (const std::weak_ptr<Storage>& weak : state_->written) {
    if (const auto storage = weak.lock()) ++storage->version;
  }
  state_->recorder->replay();
  for (const auto& count : state_->counts) count();
}

Device Graph::device() const {
  return state_->device;
}

Graph::Counts Graph::counts() const {
  const GraphContents& contents = state_->contents;
  return {std::int64_t(contents.kernels.size()), contents.copies, contents.fills};
}

const std::vector<std::string>& Graph::kernels() const {
  return state_->contents.kernels;
}

std::int64_t Graph::memory_bytes() const {
  return state_->arena->held_bytes();
}

}  // namespace ek
