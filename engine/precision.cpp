#include "engine/precision.h"

#include "kernels/error.h"

namespace ek {

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::float32:
      return "float32";
    case Precision::float64:
      return "float64";
    case Precision::bf16:
      return "bf16";
  }
  return "?";
}

Precision parse_precision(std::string_view text, std::string_view who) {
  for (Precision p : {Precision::float32, Precision::float64, Precision::bf16}) {
    if (text == name_of(p)) return p;
  }
  require(text != "tf32",
          "{} tf32: it needs a GPU, which this version does not use; float32, "
          "float64 and bf16 are there",
          who);
  fail("{} {}: expected float32, float64 or bf16", who, text);
}

Precision runnable_precision(std::string_view text, const std::string& cpu_bf16) {
  const Precision precision = parse_precision(text);
  require(precision != Precision::bf16 || !cpu_bf16.empty(),
          "--precision bf16: this program finds neither AMX nor AVX-512 instructions for bfloat16 "
          "(a processor that has them and oneDNN are expected); float32 and float64 run here");
  return precision;
}

}  // namespace ek
