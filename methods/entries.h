#pragma once
#include "methods/method.h"

namespace ek {

// One line per method file; methods/registry.cpp collects them.
MethodEntry supervised_entry();
MethodEntry difficulty_net_entry();

}  // namespace ek
