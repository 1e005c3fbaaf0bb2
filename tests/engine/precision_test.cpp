#include "engine/precision.h"

#include "tests/catch.h"
#include "tests/error_of.h"

using ek::DType;
using ek::Precision;

TEST_CASE("precision: names and dtypes", "[precision]") {
  for (Precision p : {Precision::float32, Precision::float64, Precision::bf16}) {
    CHECK(ek::parse_precision(name_of(p)) == p);
    CHECK(ek::accumulation_dtype(activation_dtype(p)) == master_dtype(p));
  }
  CHECK(activation_dtype(Precision::bf16) == DType::bfloat16);
  CHECK(master_dtype(Precision::bf16) == DType::float32);
  CHECK(activation_dtype(Precision::float64) == DType::float64);
}

TEST_CASE("precision: what is refused, in one line", "[precision]") {
  CHECK(
      contains(error_of([] { ek::parse_precision("tf32"); }), "--precision tf32: it needs a GPU"));
  CHECK(error_of([] { ek::parse_precision("half"); }) ==
        "--precision half: expected float32, float64 or bf16");
  CHECK(error_of([] { ek::parse_precision("bfloat16", "m.safetensors: precision"); }) ==
        "m.safetensors: precision bfloat16: expected float32, float64 or bf16");

  const std::string refused = error_of([] { ek::runnable_precision("bf16", ""); });
  CHECK(contains(refused, "--precision bf16: this program finds neither AMX nor AVX-512"));
  CHECK_FALSE(contains(refused, "\n"));
  CHECK(ek::runnable_precision("bf16", "AMX") == Precision::bf16);
  CHECK(ek::runnable_precision("float64", "") == Precision::float64);
}
