#include "data/loader.h"

#include <omp.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <thread>

#include "data/images/synthetic.h"
#include "data/pipelines.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/temp_dir.h"

namespace ek {
namespace {

using Ints = std::vector<std::int64_t>;

const DataSource& shapes() {
  static const DataSource source = make_synthetic("shapes", 1, {.train_per_class = 3});
  return source;
}

StreamSpec stream(std::int64_t batch_size = 7) {
  StreamSpec spec;
  spec.images = &shapes().train;
  for (std::int64_t i = 29; i >= 5; --i) spec.subset.push_back(i);
  spec.sampler = shuffled_sampler(25, 4);
  spec.batch_size = batch_size;
  spec.views[0] = pipeline_spec("cifar-dn-plain", "half", 32, 32);
  spec.seed = 6;
  return spec;
}

bool same(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return false;
  const auto* x = static_cast<const char*>(a.raw());
  return std::equal(x, x + a.bytes(), static_cast<const char*>(b.raw()));
}

bool same(const Batch& a, const Batch& b) {
  bool equal =
      a.views.size() == b.views.size() && same(a.labels, b.labels) && same(a.items, b.items);
  for (std::size_t v = 0; equal && v < a.views.size(); ++v) {
    equal = same(a.views[v], b.views[v]);
  }
  return equal;
}

// The image of row `i`, as numbers.
std::vector<double> row(const Tensor& images, std::int64_t i) {
  const auto all = images.to_vector();
  const auto size = std::ptrdiff_t(images.numel() / images.size(0));
  return {all.begin() + i * size, all.begin() + (i + 1) * size};
}

}  // namespace

TEST_CASE("a batch holds what its sampler drew") {
  const StreamSpec spec = stream();
  const Batch batch = make_batch(spec, 2);
  CHECK(batch.size() == 7);
  CHECK(batch.images().shape() == Shape{7, 32, 32, 3});
  CHECK(batch.images().dtype() == DType::float32);
  CHECK(batch.views.size() == 1);
  for (std::int64_t i = 0; i < 7; ++i) {
    const std::int64_t record = batch.items.data<std::int64_t>()[i];
    CHECK(record == spec.subset[std::size_t(spec.sampler->at(14 + i))]);
    CHECK(batch.labels.data<std::int64_t>()[i] == record % 10);
  }
}

TEST_CASE("an evaluation batch is the normalised picture") {
  const Ints records{4, 0, 4};
  const auto spec = eval_spec("cifar-basic", "", 32, 32);
  const Batch batch = whole(shapes().test, records, spec, DType::float64);
  CHECK(batch.items.to_vector() == std::vector<double>{4, 0, 4});
  CHECK(batch.labels.to_vector() == std::vector<double>{4, 0, 4});
  constexpr double tolerance = 1e-15;  // the same two divisions in float64
  for (std::int64_t i = 0; i < 3; ++i) {
    const auto got = row(batch.images(), i);
    const auto image = shapes().test.image(records[std::size_t(i)]);
    double worst = 0;
    for (std::size_t k = 0; k < got.size(); ++k) {
      const double wanted = (image[k] / 255.0 - spec.mean[k % 3]) / spec.std[k % 3];
      const double error = std::abs(got[k] - wanted) / (1 + std::abs(wanted));
      if (!(error <= worst)) worst = error;
    }
    CHECK(worst <= tolerance);
  }
  CHECK(row(batch.images(), 0) == row(batch.images(), 2));
}

TEST_CASE("a record that is drawn twice is augmented twice, views differ, steps repeat") {
  StreamSpec spec = stream(8);
  spec.subset = {12};
  spec.sampler = shuffled_sampler(1, 0);
  spec.views.push_back(spec.views[0]);
  const Batch batch = make_batch(spec, 3);
  REQUIRE(batch.views.size() == 2);
  int distinct = 0;
  for (std::int64_t i = 1; i < 8; ++i) distinct += row(batch.images(), i) != row(batch.images(), 0);
  CHECK(distinct >= 6);  // 2 * 17 * 17 crops: equal ones are rare
  CHECK(!same(batch.images(), batch.views[1]));
  CHECK(same(batch, make_batch(spec, 3)));
  spec.seed = 7;
  CHECK(!same(batch.images(), make_batch(spec, 3).images()));
  spec.seed = 6;
  spec.purpose = Purpose::meta_augment;
  CHECK(!same(batch.images(), make_batch(spec, 3).images()));
}

TEST_CASE("pictures do not depend on how draws are cut into batches") {
  const Batch large = make_batch(stream(10), 1), small = make_batch(stream(5), 3);
  for (std::int64_t i = 0; i < 5; ++i) {
    CHECK(row(large.images(), 5 + i) == row(small.images(), i));
  }
}

TEST_CASE("the loader gives the batches of make_batch, whatever the prefetch and the threads") {
  for (const char* mode : {"wrap", "keep", "drop"}) {
    StreamSpec spec = stream();
    spec.last_batch = mode;
    spec.views.push_back(spec.views[0]);
    std::vector<Batch> wanted;
    for (std::int64_t s = 3; s < 15; ++s) wanted.push_back(make_batch(spec, s));
    const int before = omp_get_max_threads();
    for (const int threads : {1, 2, 4}) {
      omp_set_num_threads(threads);
      for (const int prefetch : {0, 1, 3}) {
        Loader loader(spec, 3, prefetch);
        for (const Batch& batch : wanted) {
          CAPTURE(mode, threads, prefetch);
          REQUIRE(same(loader.next(), batch));
        }
        CHECK(omp_get_max_threads() == threads);  // the loader's thread changes its own setting
      }
    }
    omp_set_num_threads(before);
  }
}

TEST_CASE("batches in another dtype are the float32 ones, unrounded or rounded further") {
  StreamSpec spec = stream();
  const Batch narrow = make_batch(spec, 1);
  spec.dtype = DType::float64;
  const Batch wide = make_batch(spec, 1);
  CHECK(wide.images().dtype() == DType::float64);
  CHECK(same(wide.images().to(DType::float32), narrow.images()));
  spec.dtype = DType::bfloat16;
  const Batch half = make_batch(spec, 1);
  CHECK(same(half.images(), narrow.images().to(DType::bfloat16)));
  const std::vector<std::int64_t> records{2, 0};
  const auto images = [&](DType dtype) {
    return whole(*spec.images, records, spec.views[0], dtype).images();
  };
  CHECK(same(images(DType::bfloat16), images(DType::float32).to(DType::bfloat16)));
  spec.dtype = DType::uint8;
  CHECK(contains(error_of([&] { make_batch(spec, 1); }), "uint8"));
}

TEST_CASE("a meta stream starts afresh with each training epoch") {
  StreamSpec spec = stream(4);
  spec.subset = {0, 1, 2, 3, 4, 5};
  spec.sampler = shuffled_sampler(6, 4, Purpose::meta_shuffle);
  const BatchPlan train(20, 5, LastBatch::keep);  // 4 steps
  spec.restart_with = train;
  Loader loader(spec, 0);
  Ints previous;
  for (std::int64_t epoch = 0; epoch < 3; ++epoch) {
    Ints seen;
    for (std::int64_t i = 0; i < 4; ++i) {
      const Batch batch = loader.next();
      CHECK(batch.size() == 4);
      const StepDraw draw = draw_batch(spec, epoch * 4 + i).of_step;
      CHECK(draw.epoch == epoch);
      CHECK(draw.iteration == i);
      CHECK(draw.first_of_epoch == (i == 0));
      for (const double r : batch.items.to_vector()) seen.push_back(std::int64_t(r));
    }
    CHECK(seen != previous);
    previous = seen;
    for (std::size_t pass = 0; pass + 6 <= seen.size(); pass += 6) {
      Ints one(seen.begin() + std::ptrdiff_t(pass), seen.begin() + std::ptrdiff_t(pass + 6));
      std::sort(one.begin(), one.end());
      CHECK(one == spec.subset);
    }
  }
}

namespace {
// Fails at a position, as a damaged source would.
class Failing : public Sampler {
 public:
  std::int64_t epoch_length() const override { return 25; }
  std::int64_t at(std::int64_t position) const override {
    if (position >= 14) throw Error("the sampler broke");
    return position;
  }
};
}  // namespace

TEST_CASE("an exception of the loading thread reaches next in its place") {
  for (const int prefetch : {0, 2}) {
    StreamSpec spec = stream();
    spec.sampler = std::make_shared<Failing>();
    Loader loader(spec, 0, prefetch);
    CHECK(same(loader.next(), make_batch(spec, 0)));
    CHECK(same(loader.next(), make_batch(spec, 1)));
    CHECK(error_of([&] { loader.next(); }) == "the sampler broke");
    if (prefetch > 0) CHECK(error_of([&] { loader.next(); }) == "the sampler broke");
  }
}

TEST_CASE("a loader stops at any moment") {
  for (int i = 0; i < 20; ++i) {
    Loader loader(stream(), i);
    if (i % 2 == 0) loader.next();
    if (i % 3 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
    if (i % 5 == 0) {
      Loader moved = std::move(loader);
      CHECK(moved.next().size() == 7);
    }
  }
}

TEST_CASE("streams that do not fit together") {
  const auto error = [](auto change) {
    StreamSpec spec = stream();
    change(spec);
    const std::string message = error_of([&] { make_batch(spec, 0); });
    CHECK(error_of([&] { Loader(spec, 0).next(); }) == message);
    return message;
  };
  CHECK(contains(error([](StreamSpec& s) { s.images = nullptr; }), "expected images"));
  CHECK(
      contains(error([](StreamSpec& s) { s.sampler = nullptr; }), "expected images and a sampler"));
  CHECK(contains(error([](StreamSpec& s) { s.subset[3] = 30; }), "records below 30, got 30"));
  CHECK(contains(error([](StreamSpec& s) { s.subset.resize(3); }), "a subset of 3"));
  CHECK(contains(error([](StreamSpec& s) { s.views[0].height = 16; }), "got one for 32 x 16"));
  CHECK(contains(error([](StreamSpec& s) { s.views.clear(); }), "views"));
  CHECK(contains(error([](StreamSpec& s) { s.batch_size = 0; }), "batch_size"));
  CHECK(contains(error([](StreamSpec& s) { s.last_batch = "fold"; }), "last_batch"));
  CHECK(contains(error_of([] { Loader(stream(), -1); }), "first step"));
  CHECK(contains(error_of([] { Loader(stream(), 0, -1); }), "prefetch"));
  const Ints outside{10};
  CHECK(contains(error_of([&] { whole(shapes().train, Ints{30}, eval_spec("eval", "", 32, 32)); }),
                 "records below 30"));
}

TEST_CASE("pipelines and their constants by name") {
  const auto basic = pipeline_spec("cifar-basic", "", 32, 32);
  CHECK(basic.zero_pad == 4);
  CHECK(basic.reflect_pad == 0);
  CHECK(basic.flip);
  CHECK(basic.mean[0] == 0.4914);
  CHECK(basic.std[2] == 0.2010);
  const auto reflect = pipeline_spec("cifar-reflect", "", 32, 32);
  CHECK(reflect.zero_pad == 0);
  CHECK(reflect.reflect_pad == 4);
  CHECK(reflect.mean[1] == 123.0 / 255);
  const auto plain = pipeline_spec("cifar-dn-plain", "imagenet", 32, 32);
  CHECK(plain.zero_pad == 4);
  CHECK(plain.reflect_pad == 4);
  CHECK(plain.mean[0] == 0.485);
  const auto eval = eval_spec("cifar-dn-plain", "", 40, 30);
  CHECK(eval.zero_pad + eval.reflect_pad == 0);
  CHECK(!eval.flip);
  CHECK(eval.height == 40);
  CHECK(eval.width == 30);
  CHECK(eval.mean[0] == 0.5070751592371323);
  CHECK(eval_spec("cifar-basic", "half", 32, 32).mean[1] == 0.5);
  for (const std::string& name : pipeline_names()) CHECK_NOTHROW(pipeline_spec(name, "", 32, 32));
  for (const std::string& name : normalization_names()) {
    CHECK_NOTHROW(eval_spec("eval", name, 32, 32));
  }
  const auto error = [](const char* name, const char* normalize, std::int64_t side) {
    return error_of([&] { pipeline_spec(name, normalize, side, 32); });
  };
  CHECK(contains(error("cifar-fancy", "", 32), "expected one of cifar-basic"));
  CHECK(contains(error("cifar-aa", "", 32), "cifar-aa is not in this version"));
  CHECK(contains(error("cifar-basic", "cifar-b", 32), "expected one of cifar-a"));
  CHECK(contains(error("cifar-reflect", "", 4), "too small"));
}

TEST_CASE("a label that is no class is named with data set and record", "[data]") {
  DataSource source = make_synthetic("shapes");
  CHECK_NOTHROW(require_labels(source));
  source.train.labels[7] = 10;
  CHECK(error_of([&] { require_labels(source); }) ==
        "data synthetic:shapes: record 7 of the training images has the label 10, expected 0 to 9");
  source.train.labels[7] = 0;
  source.test.labels[3] = -1;
  CHECK(contains(error_of([&] { require_labels(source); }),
                 "record 3 of the test images has the label -1"));
}

TEST_CASE("batches lie where the stream says, with the same contents", "[data]") {
  constexpr Device simt{Device::Kind::simt};
  if (!is_available(simt)) return;
  const DataSource source = make_synthetic("shapes");
  StreamSpec spec;
  spec.images = &source.train;
  spec.subset = {5, 3, 8, 1};
  spec.sampler = shuffled_sampler(4, 1);
  spec.batch_size = 3;
  spec.views[0] = pipeline_spec("cifar-basic", "", 32, 32);
  spec.views.push_back(spec.views[0]);
  const Batch here = make_batch(spec, 1);
  spec.device = simt;
  const Batch there = make_batch(spec, 1);
  Loader loader(spec, 1, 2);
  const Batch loaded = loader.next();
  for (const Batch* batch : {&there, &loaded}) {
    for (const Tensor* tensor :
         {&batch->views.at(0), &batch->views.at(1), &batch->labels, &batch->items}) {
      CHECK(tensor->device() == simt);
    }
    CHECK(batch->items.device() == simt);
    CHECK(batch->images().to_vector() == here.images().to_vector());
    CHECK(batch->views[1].to_vector() == here.views[1].to_vector());
    CHECK(batch->labels.to_vector() == here.labels.to_vector());
  }
  CHECK(here.to({}).images().raw() == here.images().raw());
}

}  // namespace ek
