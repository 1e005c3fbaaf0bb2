#pragma once
#include <string>

namespace ek::kernels {

// What float32 and bf16 convolutions of the CPU backend run on: "oneDNN 2.6.3" or "plain OpenMP
// loops".
std::string cpu_convolutions();

// The bf16 arithmetic of this CPU that oneDNN uses, "AMX" or "AVX-512 bf16". Empty where there is
// none or no oneDNN: bf16 is then slower than float32.
std::string cpu_bf16();

}  // namespace ek::kernels
