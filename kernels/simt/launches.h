#pragma once

namespace ek::simt {

// Called before each launch of this OS thread with the kernel's name, "map_kernel<float>"; null, as
// it starts, is nobody. Returns the observer before.
using LaunchObserver = void (*)(const char* kernel);
LaunchObserver observe_launches(LaunchObserver observer);

}  // namespace ek::simt
