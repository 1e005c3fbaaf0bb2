#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "engine/graph/graph.h"
#include "engine/training/companions.h"
#include "engine/training/step_feed.h"
#include "methods/method.h"

namespace ek {

// A flat buffer of parameters with the kinds of packs that its convolution weights have
// (engine/training/weight_packs.h).
struct PackedParams {
  Params params;
  std::vector<Companions::Key> keys;
};
// Those of all parts of a state, as they are now.
std::vector<PackedParams> packed_params(const State& state);

// A few steps of training in one graph: fill the feed for each of them, run, read the reports.
class StepGraph {
 public:
  // Does step k's work, reading what it needs of the feed, and returns its report.
  using Work = std::function<Report(std::int64_t k, const StepFeed& feed)>;

  // Captures work(0), work(1), ..., work(layout.steps - 1). The packs of convolution weights are
  // made first of all, those of a buffer together. Errors are those of Graph::capture. What waits
  // in the allocator's pool goes back to the system first: the graph needs as much in its own
  // memory.
  StepGraph(const GraphMemory& memory, const StepFeed::Layout& layout,
            const std::vector<PackedParams>& packs, const Work& work);

  std::int64_t steps() const { return feed_.layout().steps; }
  // To be filled for every step before run(), which sends it and replays the graph.
  StepFeed& feed() { return feed_; }
  void run();
  // Of each step; their numbers are those of the last run, and last as GraphMemory has it.
  const std::vector<Report>& reports() const { return reports_; }
  const Graph& graph() const { return graph_; }

 private:
  Graph capture(const GraphMemory& memory, const std::vector<PackedParams>& packs,
                const Work& work);

  StepFeed feed_;
  std::vector<Report> reports_;
  Graph graph_;
};

// How many steps to a graph: what was asked for, else 8 on a device whose `method` can be captured,
// and 0 (no graphs). Error naming --steps-per-graph where some are asked for and there cannot be
// any.
std::int64_t steps_per_graph_for(std::optional<std::int64_t> wanted, Device device,
                                 const Method& method);

}  // namespace ek
