#pragma once
#include <span>

#include "engine/io/embedded_text.h"

namespace ek {

// The recipes of apps/recipes ("cifar100-lt/ce"), sorted by name. The build writes the definition.
std::span<const EmbeddedText> builtin_recipes();

}  // namespace ek
