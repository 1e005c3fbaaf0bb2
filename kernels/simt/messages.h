#pragma once
#include <string>

#include "kernels/simt/executor.h"

namespace ek::simt {

std::string show(Dim3 d);     // "(3,0,0)"
std::string show(Site site);  // "kernels/cuda/softmax.cu:71"

// "kernels/cuda/softmax.cu:71" of an instruction in this program, by addr2line where that is installed, else
// its address.
std::string source_line(CodeAddress pc);

// The one line that run_launch() throws.
std::string describe(const std::string& kernel, const Failure& failure);

}  // namespace ek::simt
