#pragma once
#include <span>

#include "engine/io/embedded_text.h"

namespace ek {

// The files of kernels/cuda/tuning: a name is an architecture. The build writes the definition.
std::span<const EmbeddedText> committed_tuning_texts();

}  // namespace ek
