// ek-bench: figures that are possible and files that can be read, not how fast anything is.
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "benchmarks/measure.h"
#include "engine/tensor/device.h"
#include "kernels/cpu/amx/amx.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/temp_dir.h"

using namespace ek::bench;

namespace {

struct Run {
  int code = -1;
  std::string out, error;
};

Run ek_bench(const TempDir& dir, const std::string& arguments) {
  const std::string command = "cd '" + dir.path().string() + "' && '" + binary_dir() +
                              "/bin/ek-bench' " + arguments + " >stdout.txt 2>stderr.txt";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, file_bytes(dir / "stdout.txt"),
          file_bytes(dir / "stderr.txt")};
}

void check_refused(const Run& run, const std::string& part) {
  CAPTURE(run.error);
  CHECK(run.code == 2);
  CHECK(run.out.empty());
  CHECK(run.error.starts_with("error: "));
  CHECK(contains(run.error, part));
  CHECK(std::count(run.error.begin(), run.error.end(), '\n') == 1);
}

void require_positive(const nlohmann::json& number) {
  CAPTURE(number.dump());
  REQUIRE(number.is_number());
  REQUIRE(std::isfinite(number.get<double>()));
  REQUIRE(number.get<double>() > 0);
}

std::size_t lines(const std::string& text) {
  return std::size_t(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

TEST_CASE("ek-bench: results are finite, positive and below the roof") {
  const TempDir dir;
  const Run run = ek_bench(dir,
                           "--filter '^(conv2d_forward|norm_conv_vjp)/64-64@8x8/|^add/' "
                           "--footprint 16 --min-time 0.01 --json out.json --csv out.csv");
  CAPTURE(run.error);
  REQUIRE(run.code == 0);
  const auto json = nlohmann::json::parse(file_bytes(dir / "out.json"));
  for (const char* key : {"copy_gb_s", "copy_8mib_gb_s", "float32_gflop_s", "bf16_gflop_s"}) {
    require_positive(json.at("roof").at(key));
  }
  require_positive(json.at("threads"));
  CHECK(json.at("footprint_mib") == 16);
  std::set<std::string> versions, families;
  for (const auto& row : json.at("results")) {
    const std::string name = row.at("name");
    CAPTURE(name);
    for (const char* key : {"median_ms", "best_ms", "calls", "bytes", "gb_s"}) {
      require_positive(row.at(key));
    }
    CHECK(row.at("best_ms").get<double>() <= row.at("median_ms").get<double>());
    const double gb_s = row.at("bytes").get<double>() / row.at("best_ms").get<double>() / 1e6;
    CHECK(row.at("gb_s").get<double>() == Approx(gb_s));
    REQUIRE(row.at("share").get<double>() > 0);
    const std::string family = row.at("family"), of = row.at("of");
    // A roof that was measured on a machine that did something else beside may be a little low. The
    // float32 roof is of vector units; AMX tiles, which have sixteen times their rate, take our own
    // float32 convolutions in six products. Nothing else passes it.
    const std::string version = row.at("version");
    const bool by_tiles = ek::kernels::cpu::has_amx_bf16() && row.at("precision") == "float32" &&
                          (version == "evenkeel" || version == "separate") && of == "compute" &&
                          family.find("conv") != std::string::npos;
    REQUIRE(row.at("share").get<double>() <= (by_tiles ? 1.2 * 16 / 6 : 1.2));
    CHECK((of == "compute" || of == "copy"));
    families.insert(family);
    versions.insert(version);
    if (family == "add") {
      CHECK(row.at("gflop_s").is_null());
      CHECK(of == "copy");
    } else {
      require_positive(row.at("gflop_s"));
      require_positive(row.at("gflop"));
    }
    CHECK(contains(run.out, family));
  }
  CHECK(families == std::set<std::string>{"add", "conv2d_forward", "norm_conv_vjp"});
  for (const char* version : {"evenkeel", "plain", "separate"}) CHECK(versions.contains(version));
  CHECK(contains(run.out, "roof, measured with "));
  CHECK(lines(file_bytes(dir / "out.csv")) == 1 + json.at("results").size());
}

TEST_CASE("ek-bench: --list names every family and runs nothing") {
  const TempDir dir;
  const Run run = ek_bench(dir, "--list");
  REQUIRE(run.code == 0);
  for (const char* family : {"conv2d_forward",
                             "conv2d_backward_data",
                             "conv2d_backward_weights",
                             "conv2d_tangent",
                             "norm_conv_forward",
                             "norm_conv_vjp",
                             "norm_conv_jvp",
                             "channel_stats_forward",
                             "channel_stats_vjp",
                             "channel_stats_jvp",
                             "norm_act_forward",
                             "norm_act_vjp",
                             "norm_act_jvp",
                             "gemm",
                             "softmax_cross_entropy",
                             "segment_sum",
                             "augment",
                             "global_avg_pool_forward",
                             "global_avg_pool_backward",
                             "subsample_forward",
                             "subsample_backward",
                             "add",
                             "gate",
                             "relu",
                             "affine",
                             "fill",
                             "convert",
                             "max_pool2d_forward",
                             "max_pool2d_scatter",
                             "avg_pool2d_forward",
                             "avg_pool2d_backward",
                             "sgd",
                             "adam",
                             "add_scaled",
                             "write_packs",
                             "sgd_step_and_pack",
                             "adam_step_and_pack",
                             "add_scaled_and_pack"}) {
    CAPTURE(family);
    CHECK(contains("\n" + run.out, "\n" + std::string(family) + "/"));
  }
  const Run bf16 = ek_bench(dir, "--list --precision bf16");
  CHECK(lines(bf16.out) > 0);
  CHECK(!contains(bf16.out, "/float32/"));
  std::set<std::string> names;
  for (const Case& what : all_cases({})) {
    CAPTURE(what.name());
    CHECK(names.insert(what.name()).second);
    CHECK(what.bytes > 0);
  }
  CHECK(lines(run.out) == names.size());
}

TEST_CASE("ek-bench: what it cannot run is refused in one line") {
  const TempDir dir;
  check_refused(ek_bench(dir, "--filter conv3d"), "--filter conv3d: no benchmark matches");
  check_refused(ek_bench(dir, "--filter '['"), "--filter [: expected a regular expression");
  check_refused(ek_bench(dir, "--filter gemm --precision bf16"), "no benchmark matches in bf16");
  check_refused(ek_bench(dir, "--precision float64"), "or bf16");
  check_refused(ek_bench(dir, "--precision half"), "--precision");
  if (!ek::is_available({ek::Device::Kind::cuda})) {
    check_refused(ek_bench(dir, "--device cuda"), "--device cuda");
  }
  check_refused(ek_bench(dir, "--min-time 0"), "--min-time");
  check_refused(ek_bench(dir, "--min-time nan"), "--min-time");
  check_refused(ek_bench(dir, "--footprint 1"), "--footprint");
  check_refused(ek_bench(dir, "--filter '^sgd' -- --fast"), "-- --fast");
}

// What a GPU would run, on the host executor: every version of a kernel, or a line that says why
// not.
TEST_CASE("ek-bench: the versions of the CUDA kernels are rows of the table") {
  const auto devices = ek::devices();
  if (std::ranges::count(devices, ek::Device{ek::Device::Kind::simt}) == 0) {
    WARN("this build has no simt device");
    return;
  }
  // The versions of kernels/base/versions.h, in the table under their families.
  std::set<std::string> rows;
  for (const Case& what : all_cases({ek::Device::Kind::simt}, 1)) {
    rows.insert(what.family + "/" + what.version);
  }
  for (const char* ladder : {"relu/plain",
                             "relu/packed",
                             "affine/packed",
                             "add/packed",
                             "fill/packed",
                             "convert/packed",
                             "channel_stats_forward/parts",
                             "channel_stats_vjp/rows",
                             "channel_stats_jvp/parts",
                             "norm_act_forward/rows",
                             "norm_act_vjp/parts",
                             "norm_act_jvp/rows",
                             "max_pool2d_forward/packed",
                             "max_pool2d_scatter/packed",
                             "avg_pool2d_forward/packed",
                             "avg_pool2d_backward/packed",
                             "global_avg_pool_forward/packed",
                             "subsample_forward/packed",
                             "subsample_backward/packed",
                             "sgd/packed",
                             "adam/packed",
                             "add_scaled/packed"}) {
    CAPTURE(ladder);
    CHECK(rows.contains(ladder));
  }
  const TempDir dir;
  const Run run = ek_bench(dir,
                           "--device simt --batch 1 --footprint 8 --min-time 0.001 --json out.json "
                           "--filter '^(conv2d_forward/64-64@8x8|gemm/1x100x64,tb)/(tf32|bf16)/'");
  CAPTURE(run.error, run.out);
  REQUIRE(run.code == 0);
  CHECK(!contains(run.out, "left out"));
  std::set<std::string> names;
  const auto json = nlohmann::json::parse(file_bytes(dir / "out.json"));
  for (const auto& row : json.at("results")) {
    names.insert(row.at("name"));
    CHECK(row.at("share") == 0);
  }
  for (const char* version : {"evenkeel", "plain", "mma", "halo"}) {
    CAPTURE(version);
    CHECK(names.contains(std::string("conv2d_forward/64-64@8x8/bf16/") + version));
    CHECK(names.contains(std::string("conv2d_forward/64-64@8x8/tf32/") + version));
  }
  for (const char* version : {"evenkeel", "plain", "tiled", "mma"}) {
    CHECK(names.contains(std::string("gemm/1x100x64,tb/tf32/") + version));
  }
}
