#include "apps/support/check_command.h"

#include <cstdio>
#include <memory>
#include <regex>

#include "engine/atomic_file.h"
#include "engine/text.h"
#include "engine/tuning.h"
#include "kernels/versions.h"

namespace ek {
namespace {

DType parse_check_dtype(const std::string& text) {
  std::vector<std::string> names;
  for (const DType dtype : check_dtypes) {
    if (text == name_of(dtype) || (text == "bf16" && dtype == DType::bfloat16)) return dtype;
    names.emplace_back(name_of(dtype));
  }
  fail("--dtype {}: expected {}{}", text, fmt::join(names, ", "), did_you_mean(text, names));
}

std::vector<CheckCase> chosen(std::vector<CheckCase> cases, const std::string& filter) {
  std::regex pattern;
  try {
    pattern = std::regex(filter);
  } catch (const std::regex_error&) {
    fail("--filter {}: expected a regular expression", filter);
  }
  std::erase_if(cases, [&](const CheckCase& one) { return !std::regex_search(one.op, pattern); });
  require(!cases.empty(), "--filter {}: no op has such a name", filter);
  return cases;
}

std::vector<CheckColumn> columns(const CheckOptions& options) {
  std::vector<CheckColumn> all;
  for (const Device device : options.device ? std::vector{*options.device} : devices()) {
    for (const DType dtype : check_dtypes) {
      if (options.dtype.empty() || parse_check_dtype(options.dtype) == dtype) {
        all.push_back({device, dtype});
      }
    }
  }
  return all;
}

using NamedVersions = std::vector<std::unique_ptr<kernels::ScopedVersion>>;

NamedVersions named_versions(const std::vector<std::string>& texts) {
  NamedVersions named;
  for (const std::string& text : texts) {
    const std::size_t sign = text.find('=');
    require(sign != std::string::npos, "--version {}: expected FUNCTION=NAME", text);
    named.push_back(
        std::make_unique<kernels::ScopedVersion>(text.substr(0, sign), text.substr(sign + 1)));
  }
  return named;
}

int list_versions() {
  for (const std::string_view function : kernels::versioned_functions()) {
    for (const std::string_view version : kernels::versions_of(function)) {
      fmt::print("{}={}\n", function, version);
    }
  }
  return 0;
}

int describe_tuning(Device device) {
  const Tuning* tuning = committed_tuning(device);
  if (!tuning) {
    fmt::print("{}: no committed table; {}\n", device.str(),
               device == Device{} ? "one version of each kernel" : "kernel versions by rule");
    return 0;
  }
  fmt::print("{}: committed table for {}, hash {}, {} entries{}\n", device.str(),
             tuning->architecture, tuning->hash(), tuning->entries.size(),
             tuning->entries.empty() ? ": kernel versions by rule" : "");
  for (const TuningEntry& entry : tuning->entries) {
    fmt::print("{}={}  {}\n", entry.call.function,
               kernels::versions_of(entry.call.function)[std::size_t(entry.version)],
               kernels::describe(entry.call));
  }
  return 0;
}

int report(const CheckTable& table, const CheckOptions& options) {
  fmt::print("{}{}{} checks passed, {} failed\n", table.text(), table.errors(), table.passed(),
             table.failures());
  if (!options.markdown.empty()) {
    AtomicFile out(options.markdown);
    out.write(coverage_page(table));
    out.commit();
  }
  return table.failures();
}

int run_test(const CheckOptions& options, const std::vector<CheckCase>& cases) {
  CheckTable table(columns(options));
  const auto all = columns(options);
  for (std::size_t c = 0; c < all.size(); ++c) {
    for (const CheckCase& one : cases) {
      table.add(c, one, test_outcomes(one, all[c].device, all[c].dtype), "test");
    }
  }
  return report(table, options);
}

int run_grad(CheckOptions options, const std::vector<CheckCase>& cases) {
  if (options.dtype.empty()) options.dtype = name_of(DType::float64);
  require(parse_check_dtype(options.dtype) == DType::float64,
          "--dtype {}: grad takes finite differences in float64, expected that; test compares the "
          "other dtypes with it",
          options.dtype);
  const auto all = columns(options);
  CheckTable table(all);
  for (std::size_t c = 0; c < all.size(); ++c) {
    for (const CheckCase& one : cases) {
      table.add(c, one, gradient_outcomes(one, all[c].device), "grad");
    }
  }
  return report(table, options);
}

int run_perf(const CheckOptions& options) {
  require(options.markdown.empty(), "--markdown: perf makes no table of coverage");
  const Device device = options.device.value_or(Device{});
  require(device.kind != Device::Kind::simt,
          "--device simt: perf times devices, and the host executor's times are no device's");
  const std::vector<CheckCase> cases = chosen(perf_cases(), options.filter);
  const DType dtype = options.dtype.empty() ? DType::float32 : parse_check_dtype(options.dtype);
  std::optional<CheckRoof> roof;  // products are measured in float32 and bf16
  if (options.roof && dtype != DType::float64) roof = options.roof(device, dtype);
  if (roof) fmt::print("roof: {:.1f} GB/s, {:.1f} GFLOP/s\n", roof->copy_gb_s, roof->gflop_s);
  fmt::print("{} {}, {} threads\n{}", device.str(), name_of(dtype), thread_count(),
             perf_head(roof.has_value()));
  for (const CheckCase& one : cases) {
    try {
      for (const PerfRow& row : time_case(one, device, dtype, options.perf_seconds)) {
        fmt::print("{}", perf_line(row, roof));
      }
    } catch (const Error& error) {
      fmt::print("{:<44} refused: {}\n", one.op, error.what());
    }
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace

CheckTable check_support(const std::vector<CheckColumn>& columns,
                         const std::vector<CheckCase>& cases) {
  CheckTable table(columns);
  for (std::size_t c = 0; c < columns.size(); ++c) {
    const auto [device, dtype] = columns[c];
    for (const CheckCase& one : cases) {
      table.add(c, one, test_outcomes(one, device, dtype), "test");
      if (device == Device{} && dtype == DType::float64) {
        table.add(c, one, gradient_outcomes(one, device), "grad");
      }
    }
  }
  return table;
}

std::string coverage_page(const CheckTable& table) {
  return fmt::format(
      R"(# What runs where

Written by `ek-check support --markdown docs/coverage.md`; a test writes it again and compares. The
four marks of a cell are forward, vjp, jvp and second order (forward over reverse and reverse over
reverse): ✓ every case of the op passed in the run that wrote this page, – it is refused, with
the words below the table.

A ✓ under `cpu float64` says: finite values, the same bits for one thread and three, equal to the
composition of plain ops where the op is a fused one; tangents that agree with finite differences,
cotangents that are their adjoints, second derivatives that agree with finite differences of the
first. Under any other column: the result agrees with that of `cpu float64` for the same rounded
inputs, within the tolerances of `apps/support/check_run.h`. `simt` is the host executor: the CUDA
kernels without a GPU ([host-executor.md](host-executor.md)). A page that is written on a machine
with a GPU, by a build with CUDA ([cuda.md](cuda.md)), has columns of `cuda`.

Losses, models and meta-gradients are made of these ops and have tests of their own
(`tests/methods`, `tests/models`, `tests/apps`).

{})",
      table.markdown());
}

int run_check_command(const CheckOptions& options) {
  if (options.mode == "versions") return list_versions();
  if (options.mode == "tuning") return describe_tuning(options.device.value_or(Device{}));
  const NamedVersions versions = named_versions(options.versions);
  if (options.mode == "perf") return run_perf(options);
  const std::vector<CheckCase> cases = chosen(check_cases(), options.filter);
  if (options.mode == "test") return run_test(options, cases);
  if (options.mode == "grad") return run_grad(options, cases);
  if (options.mode == "support") {
    return report(check_support(columns(options), cases), options);
  }
  fail("ek-check {}: expected test, grad, perf, support, versions or tuning{}", options.mode,
       did_you_mean(options.mode, {"test", "grad", "perf", "support", "versions", "tuning"}));
}

}  // namespace ek
