#pragma once
#include <optional>
#include <string>
#include <vector>

#include "apps/op/table.h"

namespace ek {

struct OpRunOptions {
  std::string attributes;      // JSON
  std::optional<DType> dtype;  // not given: op_dtype
  bool vjp = false, jvp = false;
  Device device = {};  // where the op runs; files and results are the host's
};

struct OpResult {
  std::vector<NamedTensor> tensors;  // in file layout
  nlohmann::json attributes;         // all of them, as they were applied
  DType dtype;
};

// Applies `op` to a file's tensors: arguments under their names, cotangents under "ct.OUTPUT",
// tangents under "t.ARGUMENT" (a missing one is zero). Returns the outputs, with `vjp` also
// "grad.ARGUMENT" for every differentiable argument that came, with `jvp` "tangent.OUTPUT" for
// every differentiable output. Rank-4 floating tensors are NCHW or OIHW on both sides, results of
// the dtype of the computation. Error for a tensor that is none of these, a missing argument, one
// of another type or shape; `source` names the file.
OpResult run_op(const OpEntry& op, const SafetensorsFile& file, const OpRunOptions& options,
                const std::string& source);

// What a file is computed in unless told otherwise: the type of the first floating-point argument
// (in the order of the description) where that is float32 or float64, else float32.
DType op_dtype(const OpSignature& signature, const SafetensorsFile& file);

// The example of `op` with a cotangent for every differentiable output and a tangent for every
// differentiable argument beside its arguments.
OpExample full_example(const OpEntry& op, std::uint64_t seed);

}  // namespace ek
