#pragma once
#include "methods/audit.h"
#include "methods/recipes/recipe.h"
#include "methods/training/options.h"

namespace ek {

// Trains by the recipe and fills the run folder (docs/runs.md): config.json,
// manifest.json, metrics.jsonl, last.safetensors, best.safetensors, summary.json, and tuning.json
// where a table of kernel versions is in force. Same recipe, data, seed, precision and table: the
// same bytes in last.safetensors and, time fields aside, in
// metrics.jsonl, for any number of threads, of steps to a graph and any interruptions on one
// device; devices round differently. A loss that is not finite ends the run with an Error that
// names the step; the last checkpoint stays. The CPU looks at the loss of every step. Reading it
// from another device would wait for that step each time: there it is looked at in every step that
// is logged, and before an evaluation or a checkpoint.
TrainEnd train(const Recipe& recipe, const TrainOptions& options, const TrainObserver& observer);

// One step of the recipe's method on a tiny batch in float64, on the device of the
// options. Writes nothing.
Audit audit_training(const Recipe& recipe, const TrainOptions& options);

}  // namespace ek
