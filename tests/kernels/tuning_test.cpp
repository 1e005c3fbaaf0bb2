// Tables of kernel versions, without kernels: which choice counts, and what is refused.
#include "kernels/base/tuning.h"

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek::kernels;

namespace {

Call product(std::int64_t m) {
  return {"gemm", CallType::float32, FloatProducts::exact, {m, 2, 3, 0, 1}};
}

constexpr int plain = 0, tiled = 1, mma = 2;
constexpr unsigned all = 7;

void nothing(const void*) {}

int chosen(const Call& call, unsigned served = all, int rule = tiled) {
  return chosen_version(call, served, rule, {nullptr, nothing});
}

}  // namespace

TEST_CASE("a function that tables know has versions, and names for its sizes") {
  REQUIRE(tuned_functions().size() > 10);
  for (const std::string_view function : tuned_functions()) {
    CAPTURE(function);
    CHECK(versions_of(function).size() > 1);
    CHECK(size_names(function).size() >= 2);
    CHECK(size_names(function).size() <= Call::most_sizes);
  }
  CHECK(size_names("fill").empty());
  CHECK(describe(product(5)) == "gemm of float32, m 5, n 2, k 3, transpose_a 0, transpose_b 1");
}

TEST_CASE("the table in force comes before the rule, the innermost counts") {
  const TuningTable first({{product(8), mma}, {product(4), plain}}), second({{product(4), mma}});
  REQUIRE(tuning_in_force() == nullptr);
  CHECK(chosen(product(4)) == tiled);
  {
    const ScopedTuning outer(&first);
    CHECK(chosen(product(4)) == plain);
    CHECK(chosen(product(8)) == mma);
    CHECK(chosen(product(9)) == tiled);  // of which the table says nothing
    Call rounded = product(4);
    rounded.products = FloatProducts::tf32;
    CHECK(chosen(rounded) == tiled);
    {
      const ScopedTuning inner(&second);
      CHECK(chosen(product(4)) == mma);
      CHECK(chosen(product(8)) == tiled);
      const ScopedTuning none(nullptr);
      CHECK(chosen(product(4)) == tiled);
    }
    CHECK(chosen(product(4)) == plain);
  }
  CHECK(chosen(product(4)) == tiled);
}

TEST_CASE("a table's version that does not serve a call is refused by name") {
  const TuningTable table({{product(4), mma}});
  const ScopedTuning scope(&table);
  CHECK(error_of([] { chosen(product(4), 3); }) ==
        "tuning: version 'mma' does not serve gemm of float32, m 4, n 2, k 3, transpose_a 0, "
        "transpose_b 1");
  CHECK(chosen(product(5), 3) == tiled);
}

TEST_CASE("a table has one entry for a call") {
  const std::string wrong = error_of([] {
    TuningTable({{product(4), mma}, {product(5), mma}, {product(4), plain}});
  });
  CHECK(contains(wrong, "tuning: two entries for gemm of float32, m 4,"));
}

TEST_CASE("a tuner is asked instead of the table, but not while it decides") {
  struct Tuner final : CallTuner {
    std::vector<Call> asked;
    int during = -1;
    int choose(const Call& call, unsigned served, int rule, const Repeat& again) override {
      CHECK(served == all);
      CHECK(rule == tiled);
      asked.push_back(call);
      again();
      during = chosen(call);
      return mma;
    }
  } tuner;
  const TuningTable table({{product(4), plain}});
  const ScopedTuning in_force(&table);
  int repeated = 0;
  const Repeat again{&repeated,
                     [](const void* state) { ++*static_cast<int*>(const_cast<void*>(state)); }};
  {
    const ScopedTuner scope(&tuner);
    CHECK(chosen_version(product(4), all, tiled, again) == mma);
  }
  CHECK(tuner.asked == std::vector<Call>{product(4)});
  CHECK(tuner.during == plain);
  CHECK(repeated == 1);
  CHECK(chosen(product(4)) == plain);
}
