#include "engine/tensor/precision.h"

#include "kernels/base/error.h"

namespace ek {

std::string_view name_of(Precision precision) {
  switch (precision) {
    case Precision::float32:
      return "float32";
    case Precision::float64:
      return "float64";
    case Precision::bf16:
      return "bf16";
    case Precision::tf32:
      return "tf32";
  }
  return "?";
}

Precision parse_precision(std::string_view text, std::string_view who) {
  for (Precision p : {Precision::float32, Precision::float64, Precision::bf16, Precision::tf32}) {
    if (text == name_of(p)) return p;
  }
  fail("{} {}: expected float32, float64, bf16 or tf32", who, text);
}

Precision runnable_precision(std::string_view text, Device device, const std::string& cpu_bf16) {
  const Precision precision = parse_precision(text);
  if (device != Device{}) return precision;
  require(
      precision != Precision::tf32,
      "--precision tf32: tf32 is for --device cuda or simt; float32, float64 and bf16 are there "
      "on the cpu");
  require(precision != Precision::bf16 || !cpu_bf16.empty(),
          "--precision bf16: this program finds neither AMX nor AVX-512 instructions for bfloat16 "
          "(a processor that has them and oneDNN are expected); float32 and float64 run here");
  return precision;
}

}  // namespace ek
