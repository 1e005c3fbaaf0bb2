#pragma once
#include <string>

#include "data/images/image_file.h"
#include "tests/catch.h"
#include "tests/error_of.h"

namespace ek {

inline Image decode(const std::string& bytes) {
  return decode_image("x", {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

// The refusal of a file: one line that names it.
inline std::string fault(const std::string& bytes) {
  const std::string message = error_of([&] { decode(bytes); });
  CHECK(message.starts_with("x: "));
  CHECK_FALSE(contains(message, "\n"));
  return message;
}

}  // namespace ek
