#include "apps/common/cli.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "engine/tuning/tuning.h"
#include "kernels/base/error.h"

namespace ek {
namespace {

bool is_number(const std::string& type) {
  return type == "INT" || type == "UINT" || type == "FLOAT" || type == "N";
}

// Numbers are decimal: the library would read 010 as eight and 0x10 as sixteen. And what is no
// negative number must not wrap around to a huge one.
std::string decimal_fault(const std::string& text, const std::string& type) {
  const std::size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  if (type == "UINT" && text.starts_with('-')) return "expected 0 or more, came " + text;
  const std::string_view digits = std::string_view(text).substr(sign);
  if (digits.size() > 1 && digits[0] == '0' && digits[1] != '.' && digits[1] != 'e') {
    return "expected a decimal number without leading zeros, came " + text;
  }
  return "";
}

void require_decimal_numbers(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    const std::string type = option->get_type_name();
    if (!is_number(type)) continue;
    option->check(
        CLI::Validator([type](std::string& text) { return decimal_fault(text, type); }, ""));
  }
  for (CLI::App* inner : app.get_subcommands({})) require_decimal_numbers(*inner);
}

int report(const char* kind, std::string message, int code) {
  // One line whatever the message holds: scripts read it with `tail -n 1`.
  for (char& c : message) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  std::fflush(stdout);
  std::fputs(fmt::format("{}: {}\n", kind, message).c_str(), stderr);
  return code;
}

// Results that did not reach a full disk or a closed pipe are no success.
int finish(int code) {
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return code;
  return report("error", "stdout: could not write all results", 2);
}

}  // namespace

void add_common_options(CLI::App& app, CommonOptions& options) {
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
  app.add_option_function<int>(
         "--threads",
         [&options](int threads) {
           require(threads >= 0 && threads <= 4096, "--threads: expected 0 to 4096, got {}",
                   threads);
           options.threads = threads;
           set_threads(threads);
         },
         "CPU threads (0: one per core); results do not depend on it")
      ->type_name("N");
  app.add_option("--seed", options.seed, "seed of everything random but the split's")
      ->type_name("UINT");
}

int run_program(int argc, char** argv, CLI::App& app, const std::function<int()>& body) {
  // A file that may not grow is an error of the write, which cleans up behind itself.
  std::signal(SIGXFSZ, SIG_IGN);
  try {
    require_decimal_numbers(app);
    app.parse(argc, argv);
    return finish(body());
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return finish(app.exit(e));  // --help
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
