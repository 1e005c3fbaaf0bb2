#include "tests/paths.h"

std::string source_dir() { return EK_SOURCE_DIR; }

std::string binary_dir() { return EK_BINARY_DIR; }
