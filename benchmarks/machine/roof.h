#pragma once
#include <cstddef>

#include "engine/tensor/precision.h"
#include "kernels/base/float_products.h"

namespace ek::bench {

// What a device reaches, measured: no kernel can be faster than one of these for long.
struct Roof {
  double copy_gb_s = 0;       // copying within the footprint that the operands rotate through
  double copy_8mib_gb_s = 0;  // copying 8 MiB again and again
  double float32_gflop_s = 0, bf16_gflop_s = 0;  // a large matrix product
  double tf32_gflop_s = 0;                       // 0 on a CPU

  double gflop_s(Precision precision, kernels::FloatProducts products) const {
    if (products == kernels::FloatProducts::tf32) return tf32_gflop_s;
    return precision == Precision::bf16 ? bf16_gflop_s : float32_gflop_s;
  }
  // To the better of both, part by part.
  void raise(const Roof& other);
  bool is_well_above(const Roof& other) const;  // a part of it, by more than a twentieth
};

// That of the CPU with the threads in force. A copy moves two bytes for each that it copies; the
// better of ordinary and streaming stores counts, and of many short stretches the fastest, so that
// a busy machine disturbs it little. Products are oneDNN's, the best of three sizes, without oneDNN
// those of kernels/gemm.h; bf16 has the roof of float32 where that is higher. Overwrites the
// memory, which should hold numbers. `seconds` for each.
Roof measure_cpu_roof(void* memory, std::size_t bytes, double seconds);

// On the host twice the last-level cache, from 256 MiB to 1 GiB, at most a quarter of the memory.
std::size_t default_footprint_bytes();

}  // namespace ek::bench
