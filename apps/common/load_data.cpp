#include "apps/common/load_data.h"

#include <cstdio>

namespace ek {

DataSource load_data(const std::string& where, std::uint64_t seed) {
  DataSource source = load_source(where, seed);
  for (const std::string& note : source.notes) std::fputs(("note: " + note + "\n").c_str(), stderr);
  return source;
}

}  // namespace ek
