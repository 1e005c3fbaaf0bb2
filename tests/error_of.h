#pragma once
#include <string>

#include "kernels/base/error.h"

// The message of the Error that f throws, "" if it throws none; other exceptions pass.
template <class F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const ek::Error& error) {
    return error.what();
  }
  return "";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}
