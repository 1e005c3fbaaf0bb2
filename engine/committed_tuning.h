#pragma once
#include <span>
#include <string_view>

namespace ek {

// A file of kernels/cuda/tuning, compiled in: its name without the extension, which is the
// architecture, and its bytes.
struct CommittedTuning {
  std::string_view name, text;
};

// cmake/embed_json.cmake writes the definition.
std::span<const CommittedTuning> committed_tuning_texts();

}  // namespace ek
