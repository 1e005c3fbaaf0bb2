// ek-check: every op against the CPU, against finite differences, against the clock.
#include "apps/check/command.h"
#include "apps/common/cli.h"
#include "apps/common/number_option.h"
#ifdef EK_HAS_BENCHMARKS
#include "benchmarks/operands.h"
#endif

int main(int argc, char** argv) {
  CLI::App app(
      "Runs every op on small awkward shapes, or on large ones for their times:\n"
      "  test     each device and dtype against the CPU in float64\n"
      "  grad     vjp, jvp and second order against finite differences, in float64\n"
      "  perf     time, GB/s, GFLOP/s and the share of what the machine reaches\n"
      "  support  both checks, as a table of which op runs where\n"
      "  ops      lists the ops, one a line; runs nothing\n"
      "  versions lists what --version takes\n"
      "  tuning   the table of kernel versions that is in force on --device, and its hash\n"
      "A check that fails makes the exit code 2, and so does a run that checks nothing, as where\n"
      "all is refused.",
      "ek-check");
  ek::CommonOptions common;
  common.any_device = true;
  ek::add_common_options(app, common, "seed of nothing here: the cases have their own");
  ek::CheckOptions options;
  app.add_option("MODE", options.mode, "test, grad, perf, support, ops, versions or tuning")
      ->type_name("")
      ->required();
  app.add_option("--dtype", options.dtype,
                 "float64, float32, bfloat16 or, not on the cpu, tf32: float32 with convolutions "
                 "of tf32 products (default: all; grad float64, perf float32)")
      ->type_name("NAME");
  app.add_option("--filter", options.filter, "only ops whose name contains it")->type_name("REGEX");
  app.add_option("--version", options.versions,
                 "a version of a CUDA kernel that runs instead of the rule's, as gemm=plain; what "
                 "it does not serve counts as refused")
      ->type_name("FUNCTION=NAME");
  app.add_flag("--progress", options.progress,
               "test, grad, support: a line on stderr as each op begins, \"DEVICE DTYPE OP\"");
  app.add_option("--markdown", options.markdown, "write the table as a page, as docs/coverage.md")
      ->type_name("FILE");
  ek::add_number(app, "--seconds", options.perf_seconds, "perf: for each op (0.3)");
  return ek::run_program(argc, argv, app, [&] {
    if (common.device_given) options.device = common.device;
    // Small shapes gain nothing from threads, and waiting for each other costs them much.
    if (common.threads == 0 && options.mode != "perf") ek::set_threads(1);
#ifdef EK_HAS_BENCHMARKS
    options.roof = [](ek::Device device, ek::CheckType type) {
      const std::size_t footprint = ek::bench::default_footprint_bytes();
      const auto place = ek::bench::make_place(device);
      ek::bench::Operands operands(*place, footprint, 1);
      const auto roof = place->measure_roof(operands.whole_footprint(), footprint, 0.5);
      return ek::CheckRoof{
          roof.copy_gb_s,
          roof.gflop_s(type == ek::DType::bfloat16 ? ek::Precision::bf16 : ek::Precision::float32,
                       type.products)};
    };
#endif
    return ek::run_check_command(options) == 0 ? 0 : 2;
  });
}
