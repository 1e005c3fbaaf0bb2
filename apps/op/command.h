#pragma once
#include <cstdint>
#include <string>

#include "apps/op/run.h"

namespace ek {

struct OpOptions {
  std::string name, in, out, dtype, example;
  OpRunOptions run;
  bool list = false, print = false;
};

// What `ek-op` does. Lists, printed tensors and the command for an example go to stdout.
void run_op_command(OpOptions options, std::uint64_t seed);

// Name, type, shape and values of each tensor, long ones abbreviated.
std::string print_tensors(const std::vector<NamedTensor>& tensors);

}  // namespace ek
