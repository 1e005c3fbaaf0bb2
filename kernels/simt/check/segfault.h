#pragma once

namespace ek::simt {

// Turns a fault of kernel code (a guard page, a wild pointer, the end of a stack) into a failure of
// the launch. Every launch sees to it, as a test framework may bring a handler of its own; faults
// elsewhere go on to the handler that was there before.
void catch_segfaults();

}  // namespace ek::simt
