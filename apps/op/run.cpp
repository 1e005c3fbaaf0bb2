#include "apps/op/run.h"

#include <algorithm>
#include <cmath>

#include "apps/op/families.h"
#include "engine/autodiff/functional.h"
#include "engine/io/text.h"
#include "methods/recipes/parts.h"
#include "models/layout.h"

namespace ek {
namespace {

bool is_image(const Tensor& x) {
  return x.rank() == 4 && is_floating(x.dtype());
}
Tensor to_engine(const Tensor& x) {
  return is_image(x) ? channels_last(x) : x;
}
Tensor to_file(const Tensor& x) {
  return is_image(x) ? channels_first(x) : x;
}

// The tensors of one file against the signature of one op.
class FileReader {
 public:
  FileReader(const OpEntry& op, const OpSignature& signature, const SafetensorsFile& file,
             const std::string& source)
      : op_(op), signature_(signature), file_(file), source_(source) {}

  void check_names() const {
    std::vector<std::string> known;
    for (const OpArgument& a : signature_.arguments) {
      known.push_back(a.name);
      if (a.kind == OpKind::differentiable) known.push_back("t." + a.name);
    }
    for (const OpOutput& o : signature_.outputs) {
      if (o.differentiable) known.push_back("ct." + o.name);
    }
    for (const auto& [name, tensor] : file_.tensors) {
      const bool passed_over = !op_.passed_over.empty() && name.ends_with(op_.passed_over);
      if (passed_over || std::ranges::count(known, name) > 0) continue;
      refuse_direction(name);
      fail("{}: {} is no argument of {}{}", source_, printable(name), op_.name,
           did_you_mean(name, known));
    }
    for (const OpArgument& a : signature_.arguments) {
      if (a.optional || file_.find(a.name)) continue;
      fail("{}: argument {} {} of {} is missing", source_, a.name, a.shape, op_.name);
    }
  }

  // The argument as the op takes it; undefined if it did not come.
  Tensor argument(const OpArgument& a, DType dtype) const {
    const Tensor* given = file_.find(a.name);
    if (!given) return {};
    require(!a.extents || given->shape() == *a.extents, "{}: {} expected {}, came {}", source_,
            a.name, a.extents ? a.extents->str() : "", given->shape().str());
    switch (a.kind) {
      case OpKind::differentiable:
      case OpKind::constant:
        return to_engine(
            floating(a.name, *given, a.activation ? dtype : accumulation_dtype(dtype)));
      case OpKind::integer:
        return integers(a.name, *given);
      case OpKind::count:
        return is_floating(given->dtype()) ? whole(a.name, *given) : integers(a.name, *given);
    }
    return {};
  }

  // "ct.y" or "t.x" as a direction for `like`, an engine tensor; undefined if it did not come.
  Tensor direction(const std::string& name, const Tensor& like) const {
    const Tensor* given = file_.find(name);
    if (!given) return {};
    const Tensor converted = to_engine(floating(name, *given, like.dtype())).to(like.device());
    require(converted.shape() == like.shape(), "{}: {} expected {}, came {}", source_, name,
            file_shape(like), given->shape().str());
    return converted;
  }

 private:
  // ct. and t. of what has none get words of their own.
  void refuse_direction(const std::string& name) const {
    for (const OpArgument& a : signature_.arguments) {
      require(name != "t." + a.name, "{}: {}: argument {} of {} has no derivative", source_, name,
              a.name, op_.name);
    }
    for (const OpOutput& o : signature_.outputs) {
      require(name != "ct." + o.name, "{}: {}: output {} of {} is not differentiated", source_,
              name, o.name, op_.name);
    }
  }

  Tensor floating(const std::string& name, const Tensor& x, DType dtype) const {
    require(is_floating(x.dtype()), "{}: {} expected floating point, came {} {}", source_, name,
            name_of(x.dtype()), x.shape().str());
    return x.to(dtype);
  }

  Tensor integers(const std::string& name, const Tensor& x) const {
    if (x.dtype() == DType::int64) return x;
    require(x.dtype() == DType::uint8, "{}: {} expected int64, came {} {}", source_, name,
            name_of(x.dtype()), x.shape().str());
    const auto bytes = x.span<std::uint8_t>();
    return Tensor::from(std::vector<std::int64_t>(bytes.begin(), bytes.end()), x.shape());
  }

  Tensor whole(const std::string& name, const Tensor& x) const {
    constexpr double limit = 9007199254740992.0;  // doubles hold every integer up to here
    std::vector<std::int64_t> values;
    for (const double value : x.to_vector()) {
      require(std::abs(value) <= limit && value == std::floor(value),
              "{}: {} expected whole numbers, came {}", source_, name, value);
      values.push_back(std::int64_t(value));
    }
    return Tensor::from(values, x.shape());
  }

  const OpEntry& op_;
  const OpSignature& signature_;
  const SafetensorsFile& file_;
  const std::string& source_;
};

// The op as a function of its differentiable arguments, for the tape.
struct Linearized {
  std::vector<std::string> inputs, outputs;  // names
  Tensors values;                            // of the inputs
  std::vector<NamedTensor> results;          // everything that the op returned
  std::optional<LinearMap> map;
};

Linearized linearize_op(const OpEntry& op, const OpSignature& signature, const OpCall& call) {
  Linearized lin;
  for (const OpArgument& a : signature.arguments) {
    if (a.kind != OpKind::differentiable || !call.find(a.name)) continue;
    lin.inputs.push_back(a.name);
    lin.values.push_back(call.at(a.name));
  }
  for (const OpOutput& o : signature.outputs) {
    if (o.differentiable) lin.outputs.push_back(o.name);
  }
  require(!lin.inputs.empty() && !lin.outputs.empty(),
          "{}: --vjp and --jvp expected an op with differentiable arguments, it has none", op.name);
  lin.map = linearize_tensors(
      [&](const Tensors& in) {
        OpCall tracked = call;
        for (std::size_t i = 0; i < in.size(); ++i) tracked.tensors[lin.inputs[i]] = in[i];
        lin.results = op.run(tracked);
        Tensors out;
        for (const std::string& name : lin.outputs) {
          out.push_back(std::ranges::find(lin.results, name, &NamedTensor::first)->second);
        }
        return out;
      },
      lin.values);
  return lin;
}

}  // namespace

DType op_dtype(const OpSignature& signature, const SafetensorsFile& file) {
  for (const OpArgument& a : signature.arguments) {
    if (a.kind != OpKind::differentiable && a.kind != OpKind::constant) continue;
    const Tensor* given = file.find(a.name);
    if (given) return given->dtype() == DType::float64 ? DType::float64 : DType::float32;
  }
  return DType::float32;
}

OpResult run_op(const OpEntry& op, const SafetensorsFile& file, const OpRunOptions& options,
                const std::string& source) {
  OpResult result;
  result.attributes = check_attributes(op, options.attributes);
  const OpSignature signature = op.expand ? op.expand(file, result.attributes) : op.signature;
  const FileReader reader(op, signature, file, source);
  reader.check_names();
  result.dtype = options.dtype.value_or(op_dtype(signature, file));
  const bool has_bfloat16 = std::ranges::any_of(signature.arguments, &OpArgument::activation);
  require(result.dtype != DType::bfloat16 || has_bfloat16,
          "--dtype bfloat16: {} is not there in bfloat16, float32 and float64 are", op.name);

  OpCall call{{}, result.attributes, result.dtype, options.device};
  for (const OpArgument& a : signature.arguments) {
    const Tensor tensor = reader.argument(a, result.dtype);
    if (!tensor) continue;
    call.tensors[a.name] = a.kind == OpKind::count ? tensor : tensor.to(options.device);
  }
  const auto keep = [&](const std::string& name, const Tensor& tensor) {
    result.tensors.emplace_back(name, to_file(tensor.to(Device{})));
  };
  if (!options.vjp && !options.jvp) {
    for (const auto& [name, tensor] : op.run(call)) keep(name, tensor);
    return result;
  }

  const Linearized lin = linearize_op(op, signature, call);
  for (const auto& [name, tensor] : lin.results) keep(name, tensor);
  if (options.jvp) {
    Tensors tangents;
    for (std::size_t i = 0; i < lin.inputs.size(); ++i) {
      tangents.push_back(reader.direction("t." + lin.inputs[i], lin.values[i]));
    }
    const Tensors out = lin.map->jvp(tangents);
    for (std::size_t i = 0; i < out.size(); ++i) keep("tangent." + lin.outputs[i], out[i]);
  }
  if (options.vjp) {
    Tensors cotangents;
    for (std::size_t i = 0; i < lin.outputs.size(); ++i) {
      cotangents.push_back(reader.direction("ct." + lin.outputs[i], lin.map->outputs()[i]));
    }
    const Tensors gradients = lin.map->vjp(cotangents);
    for (std::size_t i = 0; i < gradients.size(); ++i) keep("grad." + lin.inputs[i], gradients[i]);
  }
  return result;
}

OpExample full_example(const OpEntry& op, std::uint64_t seed) {
  OpExample example = op.example(seed);
  const SafetensorsFile file{{}, example.tensors};
  const OpResult result =
      run_op(op, file, {example.attributes.dump(), {}, false, false}, "example");
  nlohmann::json attributes = result.attributes;
  const OpSignature signature = op.expand ? op.expand(file, attributes) : op.signature;
  std::uint32_t index = 3000;
  for (const OpOutput& o : signature.outputs) {
    if (!o.differentiable) continue;
    const Tensor& value = std::ranges::find(result.tensors, o.name, &NamedTensor::first)->second;
    example.tensors.emplace_back("ct." + o.name, random_normal(value.shape(), seed, ++index));
  }
  for (const OpArgument& a : signature.arguments) {
    const Tensor* value = file.find(a.name);
    if (a.kind != OpKind::differentiable || !value) continue;
    example.tensors.emplace_back("t." + a.name, random_normal(value->shape(), seed, ++index));
  }
  return example;
}

}  // namespace ek
