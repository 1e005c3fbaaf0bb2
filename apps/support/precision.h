#pragma once
#include <string>

#include "engine/dtype.h"

namespace ek {

// What --precision says: float32 or float64. Error for the others of the interface, which this
// version lacks, and for unknown ones.
DType parse_precision(const std::string& text);

}  // namespace ek
