#include "apps/op/command.h"

#include "engine/io/text.h"
#include "methods/recipes/parts.h"

namespace ek {
namespace {

DType parse_dtype(const std::string& text) {
  if (text == "float32") return DType::float32;
  if (text == "float64") return DType::float64;
  if (text == "bfloat16" || text == "bf16") return DType::bfloat16;
  fail("--dtype {}: expected float32, float64 or bfloat16{}", printable(text),
       did_you_mean(text, {"float32", "float64", "bfloat16"}));
}

void list(const std::string& name) {
  std::string text;
  for (const OpEntry& op : op_table()) {
    if (!name.empty() && &op != &find_op(name)) continue;
    text += (text.empty() ? "" : "\n") + describe(op);
  }
  fmt::print("{}", text);
}

void write_example(const OpEntry& op, const std::string& path, std::uint64_t seed) {
  const OpExample example = full_example(op, seed);
  const std::string attributes = example.attributes.dump();
  write_safetensors(path, example.tensors, {{"op", op.name}, {"attributes", attributes}});
  const bool differentiable = std::ranges::any_of(
      example.tensors, [](const NamedTensor& t) { return t.first.starts_with("t."); });
  fmt::print("ek-op {} --in {}{}{} --print\n", op.name, path,
             example.attributes.empty() ? "" : fmt::format(" --attrs '{}'", attributes),
             differentiable ? " --vjp --jvp" : "");
}

}  // namespace

void run_op_command(OpOptions options, std::uint64_t seed) {
  if (options.list) return list(options.name);
  require(!options.name.empty(), "ek-op: expected the NAME of an op (ek-op --list shows all)");
  const OpEntry& op = find_op(options.name);
  if (!options.dtype.empty()) options.run.dtype = parse_dtype(options.dtype);
  if (!options.example.empty()) {
    require(options.in.empty() && options.out.empty(),
            "ek-op: --example writes an input file, expected neither --in nor --out with it");
    return write_example(op, options.example, seed);
  }
  require(!options.in.empty(), "ek-op {}: expected --in FILE (--example FILE writes one)", op.name);
  require(!options.out.empty() || options.print, "ek-op {}: expected --out FILE or --print",
          op.name);

  const OpResult result = run_op(op, read_safetensors(options.in), options.run, options.in);
  if (!options.out.empty()) {
    write_safetensors(options.out, result.tensors,
                      {{"op", op.name}, {"attributes", result.attributes.dump()}});
  }
  if (options.print) fmt::print("{}", print_tensors(result.tensors));
}

}  // namespace ek
