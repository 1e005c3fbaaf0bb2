// ek-op: one op, loss, model or meta-gradient, from a file to a file.
#include "apps/common/cli.h"
#include "apps/op/command.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Runs one op, loss, model or meta-gradient on the tensors of a safetensors file.\n"
      "Files have PyTorch's names and layouts (NCHW, OIHW); attributes that are left out have "
      "PyTorch's defaults (training: false).",
      "ek-op");
  ek::CommonOptions common;
  common.any_device = true;
  ek::add_common_options(app, common, "seed of the numbers of --example (default: 0)");
  ek::OpOptions options;
  app.add_option("NAME", options.name, "conv2d, loss:NAME, model:NAME, ...: see --list")
      ->type_name("");
  app.add_flag("--list", options.list,
               "arguments, attributes with defaults and outputs of every op, or of NAME");
  app.add_option("--in", options.in, "the arguments by name")->type_name("FILE");
  app.add_option("--out", options.out, "the outputs by name")->type_name("FILE");
  app.add_flag("--print", options.print, "the outputs as text");
  app.add_option("--attrs", options.run.attributes, "attributes: {\"stride\": 2, ...}")
      ->type_name("JSON");
  app.add_option(
         "--dtype", options.dtype,
         "float32, float64 or, for ops that activations pass through, bfloat16: inputs are "
         "converted, results are of it (default: that of the first floating-point argument, "
         "float32 where it is neither float32 nor float64)")
      ->type_name("NAME");
  app.add_flag("--vjp", options.run.vjp,
               "read cotangents ct.OUTPUT (missing: zero), write grad.ARGUMENT");
  app.add_flag("--jvp", options.run.jvp,
               "read tangents t.ARGUMENT (missing: zero), write tangent.OUTPUT");
  app.add_option("--example", options.example,
                 "write an input file for NAME and print the command that runs it")
      ->type_name("FILE");
  return ek::run_program(argc, argv, app, [&] {
    options.run.device = common.device;
    ek::run_op_command(options, common.seed.value_or(0));
    return 0;
  });
}
