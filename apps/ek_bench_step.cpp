// ek-bench-step: times whole training steps on made-up data.
#include "apps/bench/data.h"            // bench_with_data
#include "apps/bench/step.h"            // bench_step
#include "apps/common/cli.h"            // CommonOptions, run_program
#include "apps/common/number_option.h"  // add_number
#include "engine/tensor/precision.h"    // runnable_precision

namespace {

std::string in_graphs(const nlohmann::json& r) {
  if (r["steps_per_graph"] == 0) return "";
  const auto& launches = r["launches_per_step"];
  return fmt::format(
      "graphs of {} steps, waited for once each; per step {:.1f} kernels, {:.1f} copies, {:.1f} "
      "fills\n",
      r["steps_per_graph"].get<std::int64_t>(), launches["kernels"].get<double>(),
      launches["copies"].get<double>(), launches["fills"].get<double>());
}

std::string summary(const nlohmann::json& r) {
  const auto& ms = r["step_ms"];
  return fmt::format(
      "{} {} batch {} {}, {}, {} threads: median {:.1f} ms (min {:.1f}, p90 {:.1f}, {} steps), "
      "{:.0f} images/s, peak {:.1f} MiB (predicted {:.1f}), {} allocations in the timed steps\n{}",
      r["model"].get<std::string>(), r["task"].get<std::string>(), r["batch"].get<std::int64_t>(),
      r["precision"].get<std::string>(), r["device"].get<std::string>(), r["threads"].get<int>(),
      ms["median"].get<double>(), ms["min"].get<double>(), ms["p90"].get<double>(),
      r["steps"].get<std::int64_t>(), r["images_per_s"].get<double>(),
      r["peak_bytes"].get<double>() / 1048576, r["predicted_peak_bytes"].get<double>() / 1048576,
      r["steady_allocations"].get<std::int64_t>(), in_graphs(r));
}

std::string data_summary(const nlohmann::json& r) {
  const auto median = [&](const char* key) { return r[key]["median"].get<double>(); };
  const auto least = [&](const char* key) { return r[key]["min"].get<double>(); };
  return fmt::format(
      "{} {} on {} ({}) batch {} {}, {}, {} threads, {} rounds, median (min) ms:\n"
      "  step on a ready batch        {:9.2f} ({:.2f})\n"
      "  with loading                 {:9.2f} ({:.2f})  waited {:.3f}; one thread makes it in "
      "{:.3f}\n"
      "  with loading and evaluation  {:9.2f} ({:.2f})  {} images a step: one evaluation in {} "
      "steps\n",
      r["model"].get<std::string>(), r["task"].get<std::string>(), r["source"].get<std::string>(),
      r["augment"].get<std::string>(), r["batch"].get<std::int64_t>(),
      r["precision"].get<std::string>(), r["device"].get<std::string>(), r["threads"].get<int>(),
      r["steps"].get<std::int64_t>(), median("step_ms"), least("step_ms"),
      median("step_ms_with_data"), least("step_ms_with_data"), median("wait_ms"),
      r["prepare_ms"].get<double>(), median("step_ms_with_data_and_evaluation"),
      least("step_ms_with_data_and_evaluation"), r["evaluated_images_per_step"].get<std::int64_t>(),
      r["steps_per_epoch"].get<std::int64_t>());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Times whole training steps, on made-up data unless --with-data names some."};
  ek::CommonOptions common;
  ek::BenchStepOptions o;
  std::string precision = "float32";
  bool json = false;
  common.any_device = true;
  ek::add_common_options(app, common, "seed of parameters, batches and data (default: 0)");
  app.add_option("--model", o.model, "resnet8, resnet20 or resnet32")->type_name("NAME");
  app.add_option("--task", o.task, "plain or difficulty-net")->type_name("NAME");
  app.add_option("--estimator", o.estimator, "forward, reverse, finite-difference or detached")
      ->type_name("NAME");
  app.add_option("--loss", o.loss, "a loss of the recipes")->type_name("NAME");
  app.add_option("--precision", precision, "float32, float64, bf16 or tf32 (cuda and simt alone)")
      ->type_name("NAME");
  ek::add_number(app, "--batch", o.batch, "training images a step");
  ek::add_number(app, "--meta-batch", o.meta_batch, "meta images a step");
  ek::add_number(app, "--eval-images", o.eval_images, "images of an accuracy pass in every step");
  ek::add_number(app, "--steps", o.steps, "timed steps");
  ek::add_number(app, "--warmup", o.warmup, "steps before them");
  ek::add_number(app, "--pool", o.pool, "distinct batches, rotated");
  ek::add_number(app, "--steps-per-graph", o.steps_per_graph,
                 "on a device: steps that are captured and replayed together; 0: op by op "
                 "(default 8; 0 with --eval-images and --with-data)");
  app.add_flag("--autotune", o.autotune,
               "on a device: time the versions of each kernel on the calls of one step first, and "
               "take the fastest");
  app.add_option("--tuning", o.tuning, "on a device: the kernel versions of this tuning.json")
      ->type_name("FILE");
  app.add_option("--write-tuning", o.write_tuning,
                 "with --autotune: write them to this file; what is there already is kept and not "
                 "measured again")
      ->type_name("FILE");
  app.add_option("--with-data", o.with_data,
                 "a data set as for ek-train: steps on ready batches, with loading, and with "
                 "loading and evaluation, in turns")
      ->type_name("DIR");
  app.add_option("--augment", o.augment, "the training pipeline of --with-data")->type_name("NAME");
  app.add_option("--profile", o.profile,
                 "write per-op, per-shape and per-layer tables of 5 further steps to this file")
      ->type_name("FILE");
  app.add_option("--trace", o.trace, "write their Chrome trace to this file")->type_name("FILE");
  app.add_flag("--json", json, "print one JSON object");
  return ek::run_program(argc, argv, app, [&] {
    o.device = common.device;
    o.precision = ek::runnable_precision(precision, o.device);
    o.seed = common.seed.value_or(0);
    const bool data = !o.with_data.empty();
    ek::require(!data || (!o.autotune && o.tuning.empty() && o.write_tuning.empty()),
                "--autotune, --tuning, --write-tuning: not with --with-data");
    const nlohmann::json result = data ? ek::bench_with_data(o) : ek::bench_step(o);
    fmt::print("{}", json ? result.dump() + "\n" : data ? data_summary(result) : summary(result));
    return 0;
  });
}
