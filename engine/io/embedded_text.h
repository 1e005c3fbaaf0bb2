#pragma once
#include <string_view>

namespace ek {

// A file that is compiled into the program (cmake/embed_json.cmake): its path below the folder
// without the extension, and its bytes.
struct EmbeddedText {
  std::string_view name, text;
};

}  // namespace ek
