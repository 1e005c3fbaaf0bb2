#pragma once
#include <functional>

#include "kernels/base/versions.h"
#include "kernels/simt/check/guarded.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/kernels/numbers.h"
#include "tests/simt/executor/orders.h"

// What the tests of kernels on the host executor share.
namespace ek::simt::test {

template <class T>
using Input = const Guarded<T>;

// The values after `shift` elements of filling, so that in a buffer's memory, which is aligned,
// they begin past an aligned address: 1 rules accesses of 16 bytes out.
template <class T>
std::vector<T> shifted(std::vector<T> values, int shift) {
  values.insert(values.begin(), std::size_t(shift), T{});
  return values;
}

// Runs `write` in all of some_orders(), each time on a fresh buffer of `size` elements of which it
// writes those from `shift` on, and requires the same bits every time. Returns them.
template <class T>
std::vector<T> in_all_orders(std::size_t size, int shift, const std::function<void(T*)>& write) {
  std::vector<T> first;
  for (const Options& options : some_orders()) {
    const ScopedOptions scope(options);
    Guarded<T> y(size, "y");
    write(y.data() + shift);
    std::vector<T> values = y.values();
    values.erase(values.begin(), values.begin() + shift);
    if (first.empty()) first = values;
    REQUIRE(ek::test::same_bits(values, first));
  }
  return first;
}

// body() with the version that the rule of `function` picks, then with each that it has. A tuned
// version that does not serve the call may refuse it, which ends body().
template <class F>
void by_versions(std::string_view function, const F& body) {
  body();
  for (const auto version : kernels::versions_of(function)) {
    INFO(function << " by version " << version);
    const kernels::ScopedVersion scope(function, version);
    const std::string refusal = error_of(body);
    CAPTURE(refusal);
    REQUIRE((refusal.empty() ||
             (version != "plain" && contains(refusal, "for '" + std::string(version) + "'"))));
  }
}

// in_all_orders on `count` elements by the version that the rule of `function` picks and by each
// that it has, all of which give the same bits. Returns them.
template <class T>
std::vector<T> in_all_versions(std::string_view function, std::size_t count, int shift,
                               const std::function<void(T*)>& write) {
  std::vector<T> first;
  by_versions(function, [&] {
    const std::vector<T> values = in_all_orders<T>(count + std::size_t(shift), shift, write);
    if (first.empty()) first = values;
    REQUIRE(ek::test::same_bits(values, first));
  });
  return first;
}

}  // namespace ek::simt::test
