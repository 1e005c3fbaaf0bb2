#include "methods/session/step_graph.h"

#include "engine/training/weight_packs.h"

namespace ek {

std::vector<PackedParams> packed_params(const State& state) {
  std::vector<PackedParams> packed;
  for (const Part& part : state.parts()) {
    for (const Params& params : part.flat_buffers()) {
      std::vector<Companions::Key> keys = pack_keys(params.flat());
      if (!keys.empty()) packed.push_back({params, std::move(keys)});
    }
  }
  return packed;
}

StepGraph::StepGraph(const GraphMemory& memory, const StepFeed::Layout& layout,
                     const std::vector<PackedParams>& packs, const Work& work)
    : feed_(memory.device(), layout), graph_(capture(memory, packs, work)) {}

Graph StepGraph::capture(const GraphMemory& memory, const std::vector<PackedParams>& packs,
                         const Work& work) {
  for (const PackedParams& packed : packs) drop_packs(packed.params.flat());
  release_free_memory();
  return Graph::capture(memory, [&] {
    for (const PackedParams& packed : packs) write_packs(packed.params.flat(), packed.keys);
    for (std::int64_t k = 0; k < steps(); ++k) reports_.push_back(work(k, feed_));
  });
}

void StepGraph::run() {
  feed_.send();
  graph_.replay();
}

std::int64_t steps_per_graph_for(std::optional<std::int64_t> wanted, Device device,
                                 const Method& method) {
  constexpr std::int64_t by_default = 8;
  require(wanted.value_or(0) >= 0, "--steps-per-graph {}: expected 0 or more", wanted.value_or(0));
  if (device == Device{}) {
    require(!wanted, "--steps-per-graph: the cpu has no graphs; simt and cuda have");
    return 0;
  }
  const std::string obstacle = method.why_not_captured();
  if (obstacle.empty()) return wanted.value_or(by_default);
  require(
      wanted.value_or(0) == 0,
      "--steps-per-graph {}: this method's steps cannot be captured: {}; 0 runs them one by one",
      wanted.value_or(0), obstacle);
  return 0;
}

}  // namespace ek
