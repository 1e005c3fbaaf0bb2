// ek-train: trains by a recipe, evaluates, and fills a run folder.
#include <cstdio>

#include "apps/common/cli.h"                    // CommonOptions, run_program
#include "apps/common/number_option.h"          // add_number
#include "apps/common/progress.h"               // ProgressPrinter
#include "apps/common/recipes.h"                // load_recipe, list_recipes
#include "apps/common/stop_signals.h"           // catch_stop_signals
#include "apps/train/stored_run.h"              // stored_run
#include "methods/training/precision_report.h"  // precision_report
#include "methods/training/price.h"             // price_training, price_table
#include "methods/training/run_tuning.h"        // require_tunable
#include "methods/training/step_profile.h"      // StepProfile
#include "methods/training/trainer.h"           // train, audit_training

namespace {

constexpr int exit_interrupted = 130;

struct Options {
  ek::CommonOptions common;
  ek::TrainOptions train;
  std::string recipe, precision;
  std::vector<std::string> sets, inputs;
  bool list = false, describe = false, dump = false, audit = false;
  bool price = false;
  std::string stage1;
};

void add_options(CLI::App& app, Options& o) {
  o.common.any_device = true;
  ek::add_common_options(
      app, o.common,
      "the recipe's seed: of initialisation, sampling and augmentation, and of synthetic data; "
      "which images are taken is by data.subset_seed");
  app.add_option("--recipe", o.recipe,
                 "a built-in recipe (see --list), a JSON file, or a run folder for its recipe")
      ->type_name("NAME");
  app.add_option("--set", o.sets, "replaces a value of the recipe; may be repeated")
      ->type_name("KEY=VALUE");
  app.add_option("--data", o.train.data,
                 "a CIFAR folder (binary layout), a folder of class folders, or synthetic:shapes "
                 "(default: the recipe's data.source)")
      ->type_name("DIR");
  app.add_option("--out", o.train.out, "the run folder to fill")->type_name("RUN_DIR");
  app.add_flag(
      "--resume", o.train.resume,
      "go on with the run in --out, which has its recipe, data and precision; what is given "
      "again must agree (--data: the same images, wherever they lie now)");
  app.add_flag("--allow-other-data", o.train.other_data,
               "with --resume: go on though the classes have other names or the images another "
               "size than those of the run");
  ek::add_number(app, "--max-steps", o.train.max_steps,
                 "stop (and checkpoint) at this step; the schedule stays");
  app.add_option("--precision", o.precision,
                 "float32 (default), float64, bf16 or tf32 (cuda and simt alone); with --audit: "
                 "also compare it with float64 on a whole batch")
      ->type_name("NAME");
  ek::add_number(
      app, "--steps-per-graph", o.train.steps_per_graph,
      "on a device: steps that are captured and replayed together; the results do not depend on it "
      "(default 8; 0: op by op, as with --profile and --trace and where the method cannot be "
      "captured)");
  app.add_option("--init", o.train.init,
                 "starting weights: a safetensors file, or the best.safetensors of a run folder")
      ->type_name("FILE");
  app.add_option_function<std::string>(
         "--init-head", [&o](const std::string&) { o.train.new_head = true; },
         "new: the classifier starts afresh, so that --init may have other classes")
      ->check(CLI::IsMember({"new"}))
      ->type_name("NAME");
  app.add_option("--input", o.inputs,
                 "a run (folder or checkpoint) that this one starts from, under the name that the "
                 "method has for it; may be repeated")
      ->type_name("NAME=RUN");
  app.add_option("--stage1", o.stage1, "a run of a first stage: short for --input stage1=RUN")
      ->type_name("RUN");
  app.add_flag("--audit", o.audit,
               "compare the method's derivatives with finite differences in float64, and stop");
  app.add_flag("--autotune", o.train.autotune,
               "on a device: time the versions of each kernel on the calls of one step, before the "
               "first, and train with the fastest; tuning.json in the run folder has them");
  app.add_option("--tuning", o.train.tuning,
                 "on a device: train with the kernel versions of this tuning.json; a resumed run "
                 "keeps its own")
      ->type_name("FILE");
  app.add_flag("--price", o.price,
               "print the peak of tensor memory that the run will reach, and stop");
  app.add_option(
         "--profile", o.train.profile,
         fmt::format("write per-op, per-shape and per-layer tables of {} steps, after {} of "
                     "warm-up, to this file",
                     ek::StepProfile::default_steps, ek::StepProfile::default_warmup))
      ->type_name("FILE");
  app.add_option("--trace", o.train.trace, "write the Chrome trace of the same steps to this file")
      ->type_name("FILE");
  app.add_flag("--list", o.list, "name the built-in recipes");
  app.add_flag("--dump-recipe", o.dump, "print the recipe with all its keys, as JSON");
  app.add_flag("--describe", o.describe, "print the recipe with all its defaults, documented");
}

void refuse_unsupported(const Options& o) {
  ek::require(!o.train.other_data || o.train.resume, "--allow-other-data: goes with --resume");
  ek::require((!o.audit && !o.price) || (!o.train.autotune && o.train.tuning.empty()),
              "--autotune, --tuning: not with --audit or --price, which train nothing");
}

int run_audit(const ek::Recipe& recipe, const ek::TrainOptions& options, bool compare) {
  const ek::Audit audit = ek::audit_training(recipe, options);
  fmt::print("{}", audit.table());
  std::string fault;
  if (compare) {
    const ek::PrecisionReport report = ek::precision_report(recipe, options);
    fmt::print("\n{}\n", report.table());
    fault = report.fault();
  }
  ek::require(audit.passed(), "audit: a derivative of recipe {} is not what it claims to be",
              recipe.name());
  ek::require(fault.empty(), "audit: {}", fault);
  fmt::print("audit passed\n");
  return 0;
}

int run_training(const ek::Recipe& recipe, const ek::TrainOptions& options) {
  ek::catch_stop_signals();
  ek::ProgressPrinter printer;
  ek::TrainObserver observer;
  observer.progress = [&](const ek::Progress& p) { printer.show(p); };
  observer.message = [&](const std::string& text) { printer.message(text); };
  observer.interrupted = [] { return ek::stop_requested(); };
  if (ek::train(recipe, options, observer) == ek::TrainEnd::interrupted) {
    printer.message(fmt::format("interrupted; --resume --out {} goes on", options.out));
    return exit_interrupted;
  }
  fmt::print("{}/summary.json\n", options.out);
  return 0;
}

// A resumed run's own recipe where none is given; what else its folder says is filled in too.
ek::Recipe recipe_of(Options& o) {
  if (!o.train.resume) {
    ek::require(!o.recipe.empty(), "--recipe is missing (--list names the built-in ones)");
    return ek::load_recipe(o.recipe, o.sets);
  }
  ek::require(!o.train.out.empty(), "--out is missing");
  const ek::StoredRun stored = ek::stored_run(o.train.out);
  if (o.train.data.empty()) o.train.data = stored.data;
  if (o.precision.empty()) o.precision = stored.precision;
  if (!o.common.device_given) o.common.device = ek::device_of(stored, o.train.out);
  if (o.train.inputs.empty()) o.train.inputs = stored.inputs;
  return o.recipe.empty() ? stored.recipe_with(o.sets) : ek::load_recipe(o.recipe, o.sets);
}

int run(Options& o) {
  if (o.list) {
    fmt::print("{}", ek::list_recipes());
    return 0;
  }
  refuse_unsupported(o);
  if (!o.stage1.empty()) o.inputs.push_back("stage1=" + o.stage1);
  o.train.inputs = ek::parse_inputs(o.inputs);
  if (o.common.seed) o.sets.push_back(fmt::format("seed={}", *o.common.seed));
  const ek::Recipe recipe = recipe_of(o);
  if (o.dump) {
    fmt::print("{}\n", recipe.json().dump(2));
    return 0;
  }
  if (o.describe) {
    fmt::print("{}", ek::describe(recipe));
    return 0;
  }
  if (o.train.data.empty()) o.train.data = recipe.text("data.source");
  ek::require(!o.train.data.empty(), "--data is missing (the recipe has no data.source)");
  o.train.device = o.common.device;
  ek::require_tunable(o.train.autotune, o.train.tuning, o.train.device);
  if (!o.precision.empty()) {
    o.train.precision = ek::runnable_precision(o.precision, o.train.device);
  }
  if (o.audit) {
    const bool compare = !o.precision.empty() && o.train.precision != ek::Precision::float64;
    return run_audit(recipe, o.train, compare);
  }
  if (o.price) {
    fmt::print("{}", ek::price_table(ek::price_training(recipe, o.train)));
    return 0;
  }
  ek::require(!o.train.out.empty(), "--out is missing");
  return run_training(recipe, o.train);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Trains by a recipe, evaluates, and fills a run folder."};
  Options options;
  add_options(app, options);
  return ek::run_program(argc, argv, app, [&] { return run(options); });
}
