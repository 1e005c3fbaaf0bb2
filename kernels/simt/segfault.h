#pragma once

namespace ek::simt {

// Turns a fault of kernel code (a guard page, a wild pointer, the end of a stack) into a failure of
// the launch. Installed once per process, by the first launch; faults elsewhere go on to the
// handler that was there before.
void catch_segfaults();

}  // namespace ek::simt
