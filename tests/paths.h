#pragma once
#include <string>

// Where the source tree and the build folder lie; no slash at the end. Functions, so that a tree
// elsewhere recompiles one file.
std::string source_dir();
std::string binary_dir();
