#pragma once
#include <cstdint>
#include <string>

#include "data/images/dataset.h"

namespace ek {

// load_source, with the data set's notes on stderr, one line each, "note: ...".
DataSource load_data(const std::string& where, std::uint64_t seed);

}  // namespace ek
