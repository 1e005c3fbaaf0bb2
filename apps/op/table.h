#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/io/safetensors.h"
#include "methods/recipes/recipe.h"

// What ek-op can run: every op, loss, model and meta-gradient as a function from named tensors and
// attributes to named tensors, with a description that the program checks files against. Shapes in
// descriptions are those of files, which is PyTorch's layouts (NCHW, OIHW).
namespace ek {

enum class OpKind {
  differentiable,  // floating, has a cotangent and a tangent
  constant,        // floating, without derivative
  integer,         // int64
  count,           // int64, or whole numbers in floating point; reaches the op as int64
};

struct OpArgument {
  std::string name;
  OpKind kind = OpKind::differentiable;
  std::string shape;  // for people: "[N, C, H, W]"
  bool optional = false;
  std::optional<Shape> extents = {};  // checked where given
  bool activation = false;            // bfloat16 where that is asked for; the others stay float32
};

struct OpOutput {
  std::string name, shape;
  bool differentiable = true;
};

struct OpSignature {
  std::vector<OpArgument> arguments;
  std::vector<OpOutput> outputs;
};

// An attribute: name (key.path), default, meaning, range.
struct OpAttribute {
  KeySpec key;
  // One integer or [height, width]; reaches the op as a list of two. A null default stands for what
  // the documentation says.
  bool pair = false;
  bool required = false;
  bool object = false;  // also takes an object, unchecked
};

// One application: tensors in the engine's layouts (NHWC, OHWI), floating ones of `dtype` where
// they are activations, of its accumulation dtype elsewhere.
struct OpCall {
  std::map<std::string, Tensor, std::less<>> tensors;
  nlohmann::json attributes;  // all of them, checked
  DType dtype = DType::float32;
  Device device = {};  // of all tensors but class counts, which the host reads

  const Tensor& at(std::string_view name) const;  // an argument that is not optional
  Tensor find(std::string_view name) const;       // undefined if it did not come
  double number(const char* attribute) const { return attributes.at(attribute).get<double>(); }
  bool flag(const char* attribute) const { return attributes.at(attribute).get<bool>(); }
  std::int64_t integer(const char* attribute) const {
    return attributes.at(attribute).get<std::int64_t>();
  }
  std::string text(const char* attribute) const {
    return attributes.at(attribute).get<std::string>();
  }
  std::array<std::int64_t, 2> pair(const char* attribute) const {
    return attributes.at(attribute).get<std::array<std::int64_t, 2>>();
  }
};

// Arguments for a demonstration, as they stand in a file, and the attributes that go with them.
struct OpExample {
  std::vector<NamedTensor> tensors;
  nlohmann::json attributes = nlohmann::json::object();
};

struct OpEntry {
  std::string name, doc;
  OpSignature signature;  // as listed
  std::vector<OpAttribute> attributes;
  // All outputs that came about, in the engine's layouts.
  std::function<std::vector<NamedTensor>(const OpCall&)> run;
  std::function<OpExample(std::uint64_t seed)> example;
  // The full signature, where it depends on the attributes and on what the file holds. Attributes
  // that the file decides are settled.
  std::function<OpSignature(const SafetensorsFile&, nlohmann::json& attributes)> expand = {};
  std::string passed_over = {};  // tensors whose names end so are none of the op's business
};

// Every op, in the order of the documentation.
const std::vector<OpEntry>& op_table();
// Error with the nearest known name.
const OpEntry& find_op(std::string_view name);

// The attributes of `op` from JSON text ("" is {}): all of them, with defaults, in the types that
// were declared. Error for malformed JSON, an unknown attribute (with the nearest known), a missing
// or an unfitting one.
nlohmann::json check_attributes(const OpEntry& op, const std::string& text);

// The table for people: arguments, attributes with defaults, outputs.
std::string describe(const OpEntry& op);

}  // namespace ek
