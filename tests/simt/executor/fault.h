#pragma once
#include <vector>

#include "kernels/simt/check/guarded.h"

// Kernels with one planted fault each, and what each flavour of the build makes of it:
//   error   the launch fails with a message (or the sanitizer ends the process)
//   order   the result is wrong in some order of threads and blocks
//   missed  the result is right in every order that was tried
namespace ek::simt::test {

struct Fault {
  const char* name;
  const char *plain, *sanitized, *checked;
  std::vector<float> (*run)();  // throws ek::Error, or gives the result
  std::vector<float> expected;  // what a kernel without the fault gives
};

std::vector<Fault> barrier_faults();
std::vector<Fault> warp_faults();
std::vector<Fault> memory_faults();
std::vector<Fault> async_faults();
std::vector<Fault> block_faults();

// Kernels without a fault, as they are written in earnest: all of them "missed".
std::vector<Fault> correct_kernels();

// 0, 1, 2, ...
inline std::vector<float> counting(int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(float(i));
  return values;
}

// `count` times the value.
inline std::vector<float> constant(int count, float value) {
  return std::vector<float>(std::size_t(count), value);
}

}  // namespace ek::simt::test
