#pragma once
#include <cstdint>
#include <vector>

#include "engine/io/safetensors.h"

namespace ek {

// What to do about numbers that are not finite, as the end of a message.
inline constexpr const char* not_finite_advice =
    "nothing of it was saved, an earlier checkpoint stays; a lower optim.lr, a longer "
    "schedule.warmup or --precision float32 may help";

// Error in one line that names the first tensor with an infinity or a NaN, how many of its numbers
// are, how many more tensors have some, and the step (steps done, as metrics.jsonl counts); nothing
// where all are finite. Integers are. One pass; tensors of a device are copied.
void require_finite(const std::vector<NamedTensor>& tensors, std::int64_t step);

}  // namespace ek
