#include "methods/training/step_graph.h"

#include "engine/training/weight_packs.h"

namespace ek {

StepGraph::StepGraph(const GraphMemory& memory, const StepFeed::Layout& layout,
                     const Params& params, const std::vector<Companions::Key>& packs,
                     const Step& step)
    : feed_(memory.device(), layout), graph_(capture(memory, params, packs, step)) {}

Graph StepGraph::capture(const GraphMemory& memory, const Params& params,
                         const std::vector<Companions::Key>& packs, const Step& step) {
  drop_packs(params.flat());
  release_free_memory();
  return Graph::capture(memory, [&] {
    write_packs(params.flat(), packs);
    for (std::int64_t k = 0; k < steps(); ++k) reports_.push_back(step(k, feed_));
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
