#pragma once
#include <string>

#include "kernels/error.h"

// What the Error that f throws says; empty if it throws none.
template <class F>
std::string error_text(F&& f) {
  try {
    f();
  } catch (const ek::Error& error) {
    return error.what();
  }
  return {};
}
