#include "apps/common/cli.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>

#include "apps/common/help.h"
#include "apps/common/number_option.h"
#include "engine/tuning/tuning.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

int report(const char* kind, std::string message, int code) {
  // One line whatever the message holds: scripts read it with `tail -n 1`.
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::fflush(stdout);
  std::fputs(fmt::format("{}: {}\n", kind, message).c_str(), stderr);
  return code;
}

int print_help(const CLI::App& app, const CLI::ParseError& asked) {
  std::ostringstream help, fault;
  const int code = app.exit(asked, help, fault);
  std::fputs(wrapped_help(help.str()).c_str(), stdout);
  return code;
}

// Results that did not reach a full disk or a closed pipe are no success.
int finish(int code) {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  return report("error", "stdout: could not write all results", 2);
}

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& options, const std::string& seed_help) {
  app.fallthrough();
  app.add_option_function<std::string>(
         "--device",
         [&app, &options](const std::string& text) {
           options.device = parse_device(text);
           options.device_given = true;
           require(options.any_device || options.device == Device{},
                   "--device {}: {} works on the cpu alone", text, app.get_name());
           use_committed_tuning(options.device);
         },
         options.any_device ? "cpu, simt (the host executor: slow, for tests), cuda or cuda:N"
                            : "cpu")
      ->type_name("NAME");
  add_integer(app, "--threads",
              [&options](std::int64_t threads) {
                options.threads = int(threads);
                set_threads(int(threads));
              },
              "CPU threads (0: one per core); results do not depend on it", {0, 4096});
  add_unsigned(
      app, "--seed", [&options](std::uint64_t seed) { options.seed = seed; }, seed_help);
}

int run_program(int argc, char** argv, CLI::App& app, const std::function<int()>& body) {
  // A file that may not grow is an error of the write, which cleans up behind itself.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    app.parse(argc, argv);
    return finish(body());
  } catch (const CLI::ExtrasError&) {
    return report("error", unknown_argument(app), 2);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return finish(print_help(app, e));
    if (!app.remaining(true).empty()) return report("error", unknown_argument(app), 2);
    return report("error", e.what(), 2);
  } catch (const Error& e) {
    return report("error", e.what(), 2);
  } catch (const std::bad_alloc&) {
    return report("internal error", "out of memory", 1);
  } catch (const std::exception& e) {
    return report("internal error", e.what(), 1);
  }
}

}  // namespace ek
