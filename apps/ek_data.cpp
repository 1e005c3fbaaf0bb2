// ek-data: looks at data sets, cuts long-tailed ones, draws synthetic ones.
#include <CLI/CLI.hpp>

#include "apps/common/cli.h"
#include "apps/common/number_option.h"
#include "apps/data/commands.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Looks at data sets, cuts long-tailed ones out of balanced ones, draws synthetic "
      "ones.\nDIR is a CIFAR folder in the binary layout, a folder with class folders "
      "under train/ and test/ (or val/), or synthetic:NAME.",
      "ek-data");
  ek::CommonOptions common;
  ek::add_common_options(app, common,
                         "seed of the selection of make-lt and of synthetic data (default: 0)");
  app.require_subcommand(1);

  ek::DescribeOptions describe;
  auto* describe_app = app.add_subcommand("describe", "classes, counts, sizes and groups");
  describe_app->add_option("DIR", describe.data, "the data set")->type_name("")->required();
  describe_app->add_flag("--json", describe.json, "as JSON");

  ek::MakeLongTailOptions cut;
  auto* cut_app = app.add_subcommand(
      "make-lt",
      "a long-tailed training set with the whole test set, in the source's own format; "
      "--seed is that of the selection");
  cut_app->add_option("--data", cut.data, "the data set")->type_name("DIR")->required();
  ek::add_number(*cut_app, "--imbalance", cut.split.imbalance, "most frequent class over rarest")
      ->required();
  cut_app->add_option("--out", cut.out, "a new or empty folder")->type_name("DIR")->required();
  cut_app->add_option("--profile", cut.split.profile, "exponential, step or none")
      ->type_name("NAME")
      ->capture_default_str();
  cut_app->add_option("--subset", cut.split.subset, "ldam (seeded shuffle) or first (file order)")
      ->type_name("NAME")
      ->capture_default_str();
  ek::add_number(*cut_app, "--n-max", cut.split.n_max,
                 "images of the most frequent class; 0, the default: those of the source's "
                 "smallest class, less the held-out ones");
  ek::add_number(*cut_app, "--meta-per-class", cut.split.meta_per_class,
                 "images held out of each class, written to a file or folder of their own "
                 "(default: 0)");

  ek::SynthesizeOptions draw;
  auto* draw_app = app.add_subcommand("synthesize", "a synthetic data set as files");
  draw_app->add_option("--name", draw.name, "shapes")->type_name("NAME")->capture_default_str();
  draw_app->add_option("--format", draw.format, "cifar (CIFAR-10's layout) or png (class folders)")
      ->type_name("NAME")
      ->capture_default_str();
  draw_app->add_option("--out", draw.out, "a new or empty folder")->type_name("DIR")->required();

  ek::PreviewOptions preview;
  auto* preview_app = app.add_subcommand("preview", "a contact sheet, one class a row");
  preview_app->add_option("--data", preview.data, "the data set")->type_name("DIR")->required();
  preview_app->add_option("--out", preview.out, "the picture, a PNG file")
      ->type_name("FILE")
      ->required();
  constexpr std::int64_t most = 1000;
  ek::add_number(*preview_app, "--columns", preview.columns, "images per class (default: 10)",
                 std::int64_t(1), most);
  ek::add_number(*preview_app, "--rows", preview.rows, "classes (default: 20)", std::int64_t(1),
                 most);
  ek::add_number(*preview_app, "--zoom", preview.zoom, "pixels per pixel (default: 2)",
                 std::int64_t(1), most);

  return ek::run_program(argc, argv, app, [&] {
    const std::uint64_t seed = common.seed.value_or(0);
    if (*describe_app) ek::describe_data(describe, seed);
    if (*cut_app) ek::make_long_tail(cut, seed);
    if (*draw_app) ek::synthesize_data(draw, seed);
    if (*preview_app) ek::preview_data(preview, seed);
    return 0;
  });
}
