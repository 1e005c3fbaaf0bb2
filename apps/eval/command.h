#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "apps/common/cli.h"
#include "apps/eval/checkpoint.h"

namespace ek {

struct EvalOptions {
  std::vector<std::string> checkpoints, compare;  // either files to evaluate or run folders
  std::string data, split = "test";
  bool prior_correction = false, json = false;
  bool other_data = false;          // than what a checkpoint was trained on
  std::vector<std::string> shifts;  // as parse_shift reads them, or "all"
  std::string logits_out, features_out;
  int bins = 0;  // 0: the recipe's, else 15
  ForeignModel foreign;
};

// What `ek-eval` does; results go to stdout, as a table or as one JSON object, progress to stderr.
void evaluate(const EvalOptions& options, const CommonOptions& common);

}  // namespace ek
