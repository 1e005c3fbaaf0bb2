#pragma once
#include <string>

#include "engine/tensor/device.h"

// What ek-check prints without running an op.
namespace ek {

// The ops that have cases and whose name contains the regular expression, one a line.
std::string list_of_ops(const std::string& filter);
// What --version takes: FUNCTION=NAME, one a line.
std::string list_of_versions();
// The table of kernel versions that is in force on the device: a line about it, one for each entry.
std::string list_of_tuning(Device device);

}  // namespace ek
