#pragma once
#include <string>

#include "kernels/simt/executor.h"

namespace ek::simt {

std::string show(Dim3 d);  // "(3,0,0)"

// "kernels/cuda/softmax.cu:71"; of an address by addr2line, where that is installed, else the
// address itself.
std::string show(Origin origin);

// The one line that run_launch() throws.
std::string describe(const std::string& kernel, const Failure& failure);

}  // namespace ek::simt
