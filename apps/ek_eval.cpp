// ek-eval: metrics of checkpoints on a data set, and tables of finished runs.
#include "apps/common/cli.h"
#include "apps/common/number_option.h"
#include "apps/eval/command.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Evaluates checkpoints (several: also the mean of their probabilities), or compares finished "
      "runs.",
      "ek-eval");
  ek::CommonOptions common;
  common.any_device = true;
  ek::add_common_options(app, common, "seed of synthetic data (default: 0)");
  ek::EvalOptions options;
  app.add_option("--checkpoint", options.checkpoints,
                 "safetensors files, or run folders for their best.safetensors")
      ->type_name("FILE");
  app.add_option("--data", options.data,
                 "a CIFAR folder, a folder with class folders under train/ and test/ (or val/), or "
                 "synthetic:NAME")
      ->type_name("DIR");
  app.add_flag("--allow-other-data", options.other_data,
               "evaluate though the classes have other names or the images another size than those "
               "of the training data");
  app.add_option("--split", options.split,
                 "test, train, or val (also: meta), the images that the recipe held out")
      ->check(CLI::IsMember({"test", "val", "meta", "train"}))
      ->type_name("NAME")
      ->capture_default_str();
  app.add_flag("--prior-correction", options.prior_correction,
               "figures also with the logits corrected from the training prior to that of the set");
  app.add_option(
         "--shift", options.shifts,
         "shifted label distributions: forward:R, backward:R, uniform; all: the eleven of the "
         "papers (R 50, 25, 10, 5, 2)")
      ->type_name("KIND");
  app.add_option("--logits-out", options.logits_out, "logits, labels and training counts")
      ->type_name("FILE");
  app.add_option("--features-out", options.features_out, "what the classifier saw, and labels")
      ->type_name("FILE");
  app.add_flag("--json", options.json, "one JSON object instead of tables");
  ek::add_number(app, "--bins", options.bins,
                 "bins of the calibration error (default: the recipe's)", 1, 10000);
  app.add_option(
         "--compare", options.compare,
         "run folders, side by side; means over those that differ in the seed alone (docs/runs.md)")
      ->type_name("RUN_DIR");

  const char* foreign = "Files without a recipe";
  app.add_option("--model", options.foreign.name, "the network (default: by its tensors)")
      ->type_name("NAME")
      ->group(foreign);
  ek::add_number(app, "--num-classes", options.foreign.num_classes,
                 "classes (default: by the classifier)", std::int64_t(1), std::int64_t(1000000))
      ->group(foreign);
  app.add_option("--normalize", options.foreign.normalize,
                 "normalisation constants (default: cifar-a)")
      ->type_name("NAME")
      ->group(foreign);

  return ek::run_program(argc, argv, app, [&] {
    ek::evaluate(options, common);
    return 0;
  });
}
