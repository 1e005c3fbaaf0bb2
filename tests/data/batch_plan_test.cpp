#include "data/batch_plan.h"

#include <set>
#include <vector>

#include "data/sampler.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

struct Row {
  std::int64_t first, count, epoch, iteration;
};

void check_steps(const BatchPlan& plan, const std::vector<Row>& rows) {
  for (std::size_t s = 0; s < rows.size(); ++s) {
    const StepDraw draw = plan.step(std::int64_t(s));
    CAPTURE(s);
    CHECK(draw.first == rows[s].first);
    CHECK(draw.count == rows[s].count);
    CHECK(draw.epoch == rows[s].epoch);
    CHECK(draw.iteration == rows[s].iteration);
    CHECK(draw.first_of_epoch == (rows[s].iteration == 0));
  }
}

}  // namespace

TEST_CASE("wrap: full batches over the ends of epochs") {
  const BatchPlan plan(10, 4, LastBatch::wrap);
  check_steps(plan, {{0, 4, 0, 0},
                     {4, 4, 0, 1},
                     {8, 4, 0, 2},
                     {12, 4, 1, 0},
                     {16, 4, 1, 1},
                     {20, 4, 2, 0},
                     {24, 4, 2, 1},
                     {28, 4, 2, 2},
                     {32, 4, 3, 0}});
  CHECK(plan.steps_per_epoch() == 3);
  CHECK(plan.first_step_of_epoch(0) == 0);
  CHECK(plan.first_step_of_epoch(1) == 3);
  CHECK(plan.first_step_of_epoch(2) == 5);
  // CIFAR-100-LT, imbalance 100, 490: 10,626 images in batches of 128.
  CHECK(BatchPlan(10626, 128, LastBatch::wrap).first_step_of_epoch(200) == 16604);
}

TEST_CASE("wrap: a batch may span several epochs") {
  const BatchPlan plan(3, 8, LastBatch::wrap);
  check_steps(plan, {{0, 8, 0, 0}, {8, 8, 2, 0}, {16, 8, 5, 0}, {24, 8, 8, 0}});
  CHECK(plan.steps_per_epoch() == 1);
}

TEST_CASE("keep: the remainder is a batch, one left over joins") {
  check_steps(BatchPlan(10, 4, LastBatch::keep),
              {{0, 4, 0, 0}, {4, 4, 0, 1}, {8, 2, 0, 2}, {10, 4, 1, 0}, {14, 4, 1, 1}});
  const BatchPlan joined(9, 4, LastBatch::keep);
  check_steps(joined, {{0, 4, 0, 0}, {4, 5, 0, 1}, {9, 4, 1, 0}, {13, 5, 1, 1}});
  CHECK(joined.steps_per_epoch() == 2);
  check_steps(BatchPlan(8, 4, LastBatch::keep), {{0, 4, 0, 0}, {4, 4, 0, 1}, {8, 4, 1, 0}});
  check_steps(BatchPlan(3, 4, LastBatch::keep), {{0, 3, 0, 0}, {3, 3, 1, 0}});
  check_steps(BatchPlan(1, 4, LastBatch::keep), {{0, 1, 0, 0}, {1, 1, 1, 0}});
  check_steps(BatchPlan(2, 1, LastBatch::keep), {{0, 1, 0, 0}, {1, 1, 0, 1}, {2, 1, 1, 0}});
  CHECK(BatchPlan(10626, 128, LastBatch::keep).steps_per_epoch() == 84);
}

TEST_CASE("drop: the remainder is left out") {
  const BatchPlan plan(10, 4, LastBatch::drop);
  check_steps(plan, {{0, 4, 0, 0}, {4, 4, 0, 1}, {10, 4, 1, 0}, {14, 4, 1, 1}, {20, 4, 2, 0}});
  CHECK(plan.first_step_of_epoch(3) == 6);
}

TEST_CASE("first_step_of_epoch is the first step whose epoch is that or a later one") {
  for (const auto mode : {LastBatch::wrap, LastBatch::keep, LastBatch::drop}) {
    for (std::int64_t length = 1; length <= 12; ++length) {
      for (std::int64_t batch = 1; batch <= (mode == LastBatch::drop ? length : 14); ++batch) {
        const BatchPlan plan(length, batch, mode);
        for (std::int64_t epoch = 0; epoch < 6; ++epoch) {
          const std::int64_t step = plan.first_step_of_epoch(epoch);
          CAPTURE(length, batch, epoch, step);
          REQUIRE(plan.step(step).epoch >= epoch);
          if (step > 0) REQUIRE(plan.step(step - 1).epoch < epoch);
        }
      }
    }
  }
}

TEST_CASE("restarted plans begin every training epoch with a fresh pass") {
  constexpr std::int64_t meta_count = 10, meta_batch = 4;
  const BatchPlan train(10, 3, LastBatch::wrap);
  const RestartedPlan plan(train, meta_count, meta_batch);
  const auto sampler = shuffled_sampler(meta_count, 1, Purpose::meta_shuffle);
  std::set<std::int64_t> all_positions;
  std::vector<std::int64_t> pass, previous_pass;
  for (std::int64_t s = 0; s < 40; ++s) {
    const StepDraw draw = plan.step(s);
    CHECK(draw.epoch == train.step(s).epoch);
    CHECK(draw.count == meta_batch);
    if (draw.first_of_epoch) {
      CHECK(draw.first % meta_count == 0);  // a permutation's beginning
      previous_pass = pass;
      pass.clear();
    }
    for (std::int64_t p = draw.first; p < draw.first + draw.count; ++p) {
      CHECK(all_positions.insert(p).second);
      pass.push_back(sampler->at(p));
    }
    // 3 or 4 steps of 4: the first ten draws of an epoch are the whole meta set.
    if (pass.size() >= 10) {
      const std::set<std::int64_t> seen(pass.begin(), pass.begin() + 10);
      CHECK(seen.size() == 10);
    }
  }
  CHECK(pass != previous_pass);
}

TEST_CASE("plans that make no sense") {
  CHECK(parse_last_batch("keep") == LastBatch::keep);
  CHECK(contains(error_of([] { parse_last_batch("fold"); }), "wrap, keep or drop, got fold"));
  CHECK(contains(error_of([] { BatchPlan(0, 4, LastBatch::wrap); }), "epoch of at least 1"));
  CHECK(contains(error_of([] { BatchPlan(4, 0, LastBatch::wrap); }), "batch_size"));
  CHECK(contains(error_of([] { BatchPlan(3, 4, LastBatch::drop); }), "last_batch drop"));
  CHECK(contains(error_of([] { BatchPlan(3, 4, LastBatch::keep).step(-1); }), "step of 0"));
  CHECK(contains(error_of([] {
                   RestartedPlan({4, 2, LastBatch::keep}, 0, 2);
                 }),
                 "at least one image"));
}

}  // namespace ek
