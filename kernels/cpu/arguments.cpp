#include "kernels/base/arguments.h"

#include "kernels/base/error.h"

namespace ek::kernels {

void require_argument(bool condition, const char* expected, std::int64_t got) {
  require(condition, "{}, but got {}", expected, got);
}
void require_argument(bool condition, const char* expected, double got) {
  require(condition, "{}, but got {}", expected, got);
}

}  // namespace ek::kernels
