#pragma once
#include <span>
#include <string_view>

// The functions of a GPU backend may have several versions: a plain first one, one thread and one
// output element, and tuned ones that must agree with it. A rule over the shape picks one; tests,
// benchmarks and tuning name it.
namespace ek::kernels {

// The versions of `function` ("gemm", "conv2d_forward", ...), from the plain one up the ladder.
// Empty where there is one alone.
std::span<const std::string_view> versions_of(std::string_view function);

// The functions that have several, in the order of the table.
std::span<const std::string_view> versioned_functions();

// While it lives, calls of `function` on this thread run `version`; the innermost counts. Throws
// Error where versions_of has no such name. A call whose shape or type the version does not serve
// throws Error by name.
class ScopedVersion {
 public:
  ScopedVersion(std::string_view function, std::string_view version);
  ~ScopedVersion();
  ScopedVersion(const ScopedVersion&) = delete;
  ScopedVersion& operator=(const ScopedVersion&) = delete;
};

// The named version's place in versions_of(function), or -1: the rule picks.
int named_version(std::string_view function);

}  // namespace ek::kernels
