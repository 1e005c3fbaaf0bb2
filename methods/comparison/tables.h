#pragma once
#include <string>

#include "methods/comparison/comparison.h"

namespace ek {

// Text tables for a terminal, in percent with two decimals, "–" for what is not there.
//
// For each split one row per run: its folder, its recipe (first run) or what differs from the first
// run, a note where it counts for no mean, and the figures of the last step, of the checkpoint
// chosen by validation and of the one that was best on the test set (optimistic). Below it the
// means and sample deviations over seeds.
std::string comparison_table(const Comparison& comparison);

// Runs of several splits side by side: a column for each split, a row for each setting of the other
// keys, overall accuracy of the last step, over several seeds as mean and sample deviation. An
// unfinished run stands there with its step, where no finished one does. "" where there is one
// split alone.
std::string split_table(const Comparison& comparison);

// Of the runs of one split, one row per class: training images, difficulty where known, recall of
// each run, learned class weight of each run that has one. Above 20 classes: the means of the many,
// medium and few groups, then the 10 classes of highest and the 10 of lowest weight (of the first
// run with weights). "" where no run has weights and no difficulty is known.
std::string class_table(const Comparison& comparison, const Comparison::Indices& split);

}  // namespace ek
