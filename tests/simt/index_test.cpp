#include "kernels/reduce.h"

#include "kernels/base/error.h"
#include "tests/simt/device.h"

using namespace ek::kernels;
using namespace ek::simt::test;
using ek::simt::Guarded;
using ek::simt::ScopedOptions;
using ek::test::random_numbers;
using ek::test::same_bits;

namespace {

using Index = std::vector<std::int64_t>;

// No row, one, few, more than a block looks at in one piece; widths of packs and of none, and more
// columns than one block has threads.
struct Shape {
  std::int64_t count, width;
};
constexpr Shape kShapes[] = {{0, 5}, {1, 1}, {7, 12}, {33, 3}, {300, 8}, {513, 33}, {40, 259}};
constexpr std::int64_t kSegments = 7;

Index index_of(std::int64_t count) {
  Index index;
  for (std::int64_t i = 0; i < count; ++i) index.push_back(i * i % 6);  // segment 6 stays empty
  return index;
}

}  // namespace

TEMPLATE_TEST_CASE("simt take_rows and segment_sum, bit for bit", "", float, double) {
  using T = TestType;
  for (const Shape s : kShapes) {
    CAPTURE(s.count, s.width);
    const Index index = index_of(s.count);
    const auto table = random_numbers<T>(kSegments * s.width, 1);
    const auto values = random_numbers<T>(s.count * s.width, 2);
    std::vector<T> taken(values.size()), sums(table.size());
    take_rows<Cpu, T>({}, s.count, s.width, table.data(), index.data(), taken.data());
    segment_sum<Cpu, T>({}, s.count, s.width, kSegments, values.data(), index.data(), sums.data());
    const Input<T> in_table(table, "table"), in_values(values, "values");
    const Input<std::int64_t> in_index(index, "index");
    for (const int shift : {0, 1}) {  // 1: not aligned to 16 bytes
      by_versions("take_rows", [&] {
        const auto got = in_all_orders<T>(taken.size() + std::size_t(shift), shift, [&](T* to) {
          take_rows<Simt, T>({}, s.count, s.width, in_table.data(), in_index.data(), to);
        });
        REQUIRE(same_bits(got, taken));
      });
    }
    by_versions("segment_sum", [&] {
      REQUIRE(same_bits(sums, in_all_orders<T>(sums.size(), 0, [&](T* to) {
                          segment_sum<Simt, T>({}, s.count, s.width, kSegments, in_values.data(),
                                               in_index.data(), to);
                        })));
    });
  }
}

TEST_CASE("simt segment_sum leaves out rows of no segment") {
  for (const std::int64_t count : {5, 300}) {
    Index index = index_of(count);
    index[1] = -1;
    index[2] = kSegments;
    const auto values = random_numbers<float>(count * 3, 3);
    std::vector<float> sums(kSegments * 3);
    segment_sum<Cpu, float>({}, count, 3, kSegments, values.data(), index.data(), sums.data());
    const Input<float> in(values);
    const Input<std::int64_t> in_index(index, "index");
    REQUIRE(same_bits(sums, in_all_orders<float>(sums.size(), 0, [&](float* to) {
                        segment_sum<Simt, float>({}, count, 3, kSegments, in.data(),
                                                 in_index.data(), to);
                      })));
  }
}

TEMPLATE_TEST_CASE("simt pick and place", "", float, double) {
  using T = TestType;
  for (const std::int64_t rows : {0, 1, 300}) {
    const std::int64_t columns = 7;
    const Index index = index_of(rows);
    const auto values = random_numbers<T>(rows * columns, 4);
    std::vector<T> picked(static_cast<std::size_t>(rows)), placed(values.size());
    pick<Cpu, T>({}, rows, columns, values.data(), index.data(), picked.data());
    place<Cpu, T>({}, rows, columns, picked.data(), index.data(), placed.data());
    const Input<T> in(values, "values"), in_picked(picked, "picked");
    const Input<std::int64_t> in_index(index, "index");
    REQUIRE(same_bits(picked, in_all_orders<T>(picked.size(), 0, [&](T* to) {
                        pick<Simt, T>({}, rows, columns, in.data(), in_index.data(), to);
                      })));
    REQUIRE(same_bits(placed, in_all_orders<T>(placed.size(), 0, [&](T* to) {
                        place<Simt, T>({}, rows, columns, in_picked.data(), in_index.data(), to);
                      })));
  }
  const Input<T> two(std::vector<T>(2), "values");
  const Input<std::int64_t> outside(Index{2}, "index");
  Guarded<T> out(2);
  CHECK_THROWS_AS((pick<Simt, T>({}, 1, 2, two.data(), outside.data(), out.data())), ek::Error);
  CHECK_THROWS_AS((place<Simt, T>({}, 1, 2, two.data(), outside.data(), out.data())), ek::Error);
}

// By thread, warp and block; ties, NaN, and rows of -inf only.
TEMPLATE_TEST_CASE("simt argmax_rows: the first maximum, and never a NaN", "", float, double) {
  using T = TestType;
  const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
  for (const std::int64_t columns : {1, 5, 8, 100, 513, 700}) {
    const std::int64_t rows = 9;
    std::vector<T> x = random_numbers<T>(rows * columns, 5);
    const auto at = [&](std::int64_t i, std::int64_t k) -> T& { return x[i * columns + k]; };
    const std::int64_t last = columns - 1, middle = columns / 2;
    at(1, last) = 2;
    at(2, middle) = at(2, last) = 2;
    at(3, middle) = nan;
    at(4, last) = nan;
    at(4, 0) = inf;
    for (std::int64_t k = 0; k < columns; ++k) at(5, k) = -inf, at(6, k) = 0;
    at(7, middle) = at(7, last) = inf;
    Index expected(rows);
    argmax_rows<Cpu, T>({}, rows, columns, x.data(), expected.data());
    const Input<T> in(x);
    by_versions("argmax_rows", [&] {
      REQUIRE(expected == in_all_orders<std::int64_t>(rows, 0, [&](std::int64_t* to) {
                argmax_rows<Simt, T>({}, rows, columns, in.data(), to);
              }));
    });
  }
}

TEST_CASE("simt count_correct adds to its counters") {
  Index labels, prediction;
  for (std::int64_t i = 0; i < 1003; ++i) {
    labels.push_back(i * i % 6);
    prediction.push_back(i % 6 - (i % 4 == 0));
  }
  Index correct{10, 0, 0, 1, 0, 0, 4}, total{20, 0, 0, 5, 0, 0, 4};
  const Index correct_before = correct, total_before = total;
  count_correct<Cpu>({}, 1003, prediction.data(), labels.data(), correct.data(), total.data());
  const Input<std::int64_t> in_prediction(prediction, "prediction"), in_labels(labels, "labels");
  for (const auto& options : some_orders()) {
    const ScopedOptions scope(options);
    Guarded<std::int64_t> c(correct_before, "correct"), t(total_before, "total");
    count_correct<Simt>({}, 1003, in_prediction.data(), in_labels.data(), c.data(), t.data());
    REQUIRE(c.values() == correct);
    REQUIRE(t.values() == total);
  }
  count_correct<Simt>({}, 0, nullptr, nullptr, nullptr, nullptr);
}
