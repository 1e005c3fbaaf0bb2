#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "engine/tensor/device.h"

namespace ek {

// What every program takes.
struct CommonOptions {
  bool any_device = false;  // set before add_common_options: this program runs on more than the cpu
  Device device;
  bool device_given = false;
  int threads = 0;                    // 0: the runtime's choice
  std::optional<std::uint64_t> seed;  // not given: the recipe's, or 0
};

// Adds --device, --threads and --seed, of which `seed_help` says what it is the seed of. While the
// command line is read, the device is checked against this build and the program, the number of
// threads takes effect and, on a device with a committed table of kernel versions, that is in force
// (engine/tuning/tuning.h). Call it before add_subcommand: subcommands made later take the same
// options. `options` outlives `app`.
void add_common_options(CLI::App& app, CommonOptions& options, const std::string& seed_help);

// Reads the command line into `app`, then runs `body` and returns what it returns. --help prints
// the usage, in 80 columns, and returns 0. A command line or an ek::Error at fault prints one line
// "error: ..." on stderr and returns 2; any other exception prints "internal error: ..." and
// returns 1.
int run_program(int argc, char** argv, CLI::App& app, const std::function<int()>& body);

}  // namespace ek
