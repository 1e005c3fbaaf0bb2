#include "engine/tensor/precision.h"

#include "tests/catch.h"
#include "tests/error_of.h"

using ek::DType;
using ek::Precision;

TEST_CASE("precision: names and dtypes", "[precision]") {
  for (Precision p : {Precision::float32, Precision::float64, Precision::bf16, Precision::tf32}) {
    CHECK(ek::parse_precision(name_of(p)) == p);
    CHECK(ek::accumulation_dtype(activation_dtype(p)) == master_dtype(p));
  }
  CHECK(activation_dtype(Precision::bf16) == DType::bfloat16);
  CHECK(master_dtype(Precision::bf16) == DType::float32);
  CHECK(activation_dtype(Precision::float64) == DType::float64);
  CHECK(activation_dtype(Precision::tf32) == DType::float32);
  CHECK(float_products(Precision::tf32) == ek::kernels::FloatProducts::tf32);
  CHECK(float_products(Precision::float32) == ek::kernels::FloatProducts::exact);
}

TEST_CASE("precision: what is refused, in one line", "[precision]") {
  CHECK(error_of([] { ek::parse_precision("half"); }) ==
        "--precision half: expected float32, float64, bf16 or tf32");
  CHECK(error_of([] { ek::parse_precision("bfloat16", "m.safetensors: precision"); }) ==
        "m.safetensors: precision bfloat16: expected float32, float64, bf16 or tf32");

  CHECK(contains(error_of([] { ek::runnable_precision("tf32"); }),
                 "--precision tf32: tf32 is for --device cuda or simt"));
  const std::string refused = error_of([] { ek::runnable_precision("bf16", {}, ""); });
  CHECK(contains(refused, "--precision bf16: this program finds neither AMX nor AVX-512"));
  CHECK_FALSE(contains(refused, "\n"));
  CHECK(ek::runnable_precision("bf16", {}, "AMX") == Precision::bf16);
  CHECK(ek::runnable_precision("float64", {}, "") == Precision::float64);
  // Other devices need no instructions of the CPU.
  const ek::Device simt{ek::Device::Kind::simt};
  CHECK(ek::runnable_precision("bf16", simt, "") == Precision::bf16);
  CHECK(ek::runnable_precision("tf32", simt, "") == Precision::tf32);
}
