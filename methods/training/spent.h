#pragma once
#include <cstdint>

namespace ek {

// Time that goes to one kind of thing between steps.
struct Spent {
  double seconds = 0;
  std::int64_t count = 0;

  void add(double more) {
    seconds += more;
    ++count;
  }
  double each() const { return count > 0 ? seconds / double(count) : 0; }
};

}  // namespace ek
