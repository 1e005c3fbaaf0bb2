#include "apps/op/table.h"

namespace ek {
namespace {

std::string_view kind_text(OpKind kind) {
  switch (kind) {
    case OpKind::differentiable:
      return "differentiable";
    case OpKind::constant:
      return "constant";
    case OpKind::integer:
      return "int64";
    case OpKind::count:
      return "counts";
  }
  return "?";
}

std::string default_text(const OpAttribute& attribute) {
  if (attribute.required) return "required";
  if (attribute.key.fallback.is_null()) return "-";
  const nlohmann::json& fallback = attribute.key.fallback;
  return fallback.is_string() ? fallback.get<std::string>() : fallback.dump();
}

std::string line(std::string_view role, const std::string& name, std::string_view kind,
                 const std::string& rest) {
  std::string text = fmt::format("  {:<9}  {:<18}  {:<16}  {}", role, name, kind, rest);
  text.resize(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

}  // namespace

std::string describe(const OpEntry& op) {
  std::string text = fmt::format("{}: {}\n", op.name, op.doc);
  for (const OpArgument& argument : op.signature.arguments) {
    const std::string name = argument.optional ? "[" + argument.name + "]" : argument.name;
    text += line("argument", name, kind_text(argument.kind), argument.shape);
  }
  for (const OpAttribute& attribute : op.attributes) {
    const KeySpec& key = attribute.key;
    std::string meaning = key.doc;
    if (!key.choices.empty()) meaning += fmt::format(" ({})", fmt::join(key.choices, ", "));
    text += line("attribute", key.path, default_text(attribute), meaning);
  }
  for (const OpOutput& output : op.signature.outputs) {
    text +=
        line("output", output.name, output.differentiable ? "differentiable" : "", output.shape);
  }
  return text;
}

}  // namespace ek
