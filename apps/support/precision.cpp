#include "apps/support/precision.h"

namespace ek {

DType parse_precision(const std::string& text) {
  if (text == "float32") return DType::float32;
  if (text == "float64") return DType::float64;
  if (text == "tf32" || text == "bf16") {
    fail("--precision {}: not in this version; float32 and float64 are", text);
  }
  fail("--precision {}: expected float32, float64, tf32 or bf16", text);
}

}  // namespace ek
