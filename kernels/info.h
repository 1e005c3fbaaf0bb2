#pragma once
#include <string>

namespace ek::kernels {

// What float32 convolutions of the CPU backend run on: "oneDNN 2.6.3" or "plain OpenMP loops".
std::string cpu_convolutions();

}  // namespace ek::kernels
