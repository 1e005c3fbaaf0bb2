#include "apps/check/command.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "apps/check/lists.h"
#include "engine/io/atomic_file.h"
#include "engine/io/text.h"
#include "kernels/base/versions.h"

namespace ek {
namespace {

CheckType parse_check_type(const std::string& text) {
  std::vector<std::string> names;
  for (const CheckType type : check_types) {
    if (text == type.name() || (text == "bf16" && type == DType::bfloat16)) return type;
    names.emplace_back(type.name());
  }
  fail("--dtype {}: expected {}{}", text, fmt::join(names, ", "), did_you_mean(text, names));
}

void require_type_on(CheckType type, Device device) {
  const auto known = check_types_of(device);
  require(std::ranges::count(known, type) == 1,
          "--dtype {}: the cpu has exact products alone, expected --device simt or cuda",
          type.name());
}

// Without --device each type runs on the devices that have it.
std::vector<CheckColumn> columns(const CheckOptions& options) {
  std::optional<CheckType> wanted;
  if (!options.dtype.empty()) wanted = parse_check_type(options.dtype);
  std::vector<CheckColumn> all;
  for (const Device device : options.device ? std::vector{*options.device} : devices()) {
    for (const CheckType type : check_types_of(device)) {
      if (!wanted || *wanted == type) all.push_back({device, type});
    }
  }
  if (all.empty()) require_type_on(*wanted, {});
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

// Runs each case in each column. With `progress` a line on stderr says which op begins.
template <class Run>
void for_each_case(const std::vector<CheckColumn>& columns, const std::vector<CheckCase>& cases,
                   bool progress, const Run& run) {
  for (std::size_t c = 0; c < columns.size(); ++c) {
    std::string_view begun;
    for (const CheckCase& one : cases) {
      if (progress && one.op != begun) {
        fmt::print(stderr, "{} {}\n", columns[c].name(), one.op);
        std::fflush(stderr);
      }
      begun = one.op;
      run(c, one);
    }
  }
}

int report(const CheckTable& table, const CheckOptions& options) {
  fmt::print("{}{}{} checks passed, {} failed, {} refused\n", table.text(), table.errors(),
             table.passed(), table.failures(), table.refused());
  std::fflush(stdout);
  if (!options.markdown.empty()) {
    AtomicFile out(options.markdown);
    out.write(coverage_page(table));
    out.commit();
  }
  require(table.passed() + table.failures() > 0, "ek-check {}: nothing was checked: {}",
          options.mode,
          table.refused() > 0 ? fmt::format("all {} checks were refused", table.refused())
                              : fmt::format("no op of these has {} products", options.dtype));
  return table.failures();
}

int run_test(const CheckOptions& options, const std::vector<CheckCase>& cases) {
  const auto all = columns(options);
  CheckTable table(all);
  for_each_case(all, cases, options.progress, [&](std::size_t c, const CheckCase& one) {
    table.add(c, one, test_outcomes(one, all[c].device, all[c].type), "test");
  });
  return report(table, options);
}

int run_grad(CheckOptions options, const std::vector<CheckCase>& cases) {
  if (options.dtype.empty()) options.dtype = name_of(DType::float64);
  require(parse_check_type(options.dtype) == DType::float64,
          "--dtype {}: grad takes finite differences in float64, expected that; test compares the "
          "other dtypes with it",
          options.dtype);
  const auto all = columns(options);
  CheckTable table(all);
  for_each_case(all, cases, options.progress, [&](std::size_t c, const CheckCase& one) {
    table.add(c, one, gradient_outcomes(one, all[c].device), "grad");
  });
  return report(table, options);
}

int run_perf(const CheckOptions& options) {
  require(options.markdown.empty(), "--markdown: perf makes no table of coverage");
  const Device device = options.device.value_or(Device{});
  require(device.kind != Device::Kind::simt,
          "--device simt: perf times devices, and the host executor's times are no device's");
  require(!options.progress, "--progress: perf prints each op as it was timed");
  const std::vector<CheckCase> cases = matching_cases(perf_cases(), options.filter);
  const CheckType type = options.dtype.empty() ? DType::float32 : parse_check_type(options.dtype);
  require_type_on(type, device);
  std::optional<CheckRoof> roof;  // products are measured in float32, tf32 and bf16
  if (options.roof && type != DType::float64) roof = options.roof(device, type);
  if (roof) fmt::print("roof: {:.1f} GB/s, {:.1f} GFLOP/s\n", roof->copy_gb_s, roof->gflop_s);
  fmt::print("{} {}, {} threads\n{}", device.str(), type.name(), thread_count(),
             perf_head(roof.has_value()));
  int timed = 0;
  for (const CheckCase& one : cases) {
    try {
      for (const PerfRow& row : time_case(one, device, type, options.perf_seconds)) {
        fmt::print("{}", perf_line(row, roof));
        ++timed;
      }
    } catch (const Error& error) {
      fmt::print("{:<44} refused: {}\n", one.op, error.what());
    }
    std::fflush(stdout);
  }
  require(timed > 0, "ek-check perf: nothing was timed: no op of these takes {}", type.name());
  return 0;
}

}  // namespace

CheckTable check_support(const std::vector<CheckColumn>& columns,
                         const std::vector<CheckCase>& cases, bool progress) {
  CheckTable table(columns);
  for_each_case(columns, cases, progress, [&](std::size_t c, const CheckCase& one) {
    const auto& [device, type] = columns[c];
    table.add(c, one, test_outcomes(one, device, type), "test");
    if (device == Device{} && type == DType::float64) {
      table.add(c, one, gradient_outcomes(one, device), "grad");
    }
  });
  return table;
}

std::string coverage_page(const CheckTable& table) {
  return fmt::format(
      R"(# What runs where

Written by `ek-check support --markdown docs/coverage.md`; a test writes it again and compares. The
four marks of a cell are forward, vjp, jvp and second order (forward over reverse and reverse over
reverse): ✓ every case of the op passed in the run that wrote this page, – it is refused, with
the words below the table, · there is nothing to check.

A ✓ under `cpu float64` says: finite values, the same bits for one thread and three, equal to the
composition of plain ops where the op is a fused one; tangents that agree with finite differences,
cotangents that are their adjoints, second derivatives that agree with finite differences of the
first. Under any other column: the result agrees with that of `cpu float64` for the same rounded
inputs, within the tolerances of `apps/check/run.h`. `tf32` is float32 with the factors of
products rounded to 10 bits: the convolutions can be asked for it, though not on the CPU; second
order is not checked there. `simt` is the host executor: the CUDA kernels without a GPU
([host-executor.md](host-executor.md)). A page that is written on a machine with a GPU, by a build
with CUDA ([cuda.md](cuda.md)), has columns of `cuda`.

Losses, models and meta-gradients are made of these ops and have tests of their own
(`tests/methods`, `tests/models`, `tests/apps`).

{})",
      table.markdown());
}

int run_check_command(const CheckOptions& options) {
  const auto list = [](const std::string& text) {
    fmt::print("{}", text);
    return 0;
  };
  if (options.mode == "ops") return list(list_of_ops(options.filter));
  if (options.mode == "versions") return list(list_of_versions());
  if (options.mode == "tuning") return list(list_of_tuning(options.device.value_or(Device{})));
  const NamedVersions versions = named_versions(options.versions);
  if (options.mode == "perf") return run_perf(options);
  const std::vector<CheckCase> cases = matching_cases(check_cases(), options.filter);
  if (options.mode == "test") return run_test(options, cases);
  if (options.mode == "grad") return run_grad(options, cases);
  if (options.mode == "support") {
    return report(check_support(columns(options), cases, options.progress), options);
  }
  fail(
      "ek-check {}: expected test, grad, perf, support, ops, versions or tuning{}", options.mode,
      did_you_mean(options.mode, {"test", "grad", "perf", "support", "ops", "versions", "tuning"}));
}

}  // namespace ek
