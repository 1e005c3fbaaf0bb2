// Running a model over records, and ensembles.
#include "methods/evaluation/predict.h"

#include <cmath>

#include "data/pipelines.h"
#include "methods/evaluation/ensemble.h"
#include "methods/evaluation/probabilities.h"
#include "models/registry.h"
#include "tests/catch.h"
#include "tests/error_of.h"

using namespace ek;

namespace {

// `count` grey images whose brightness is their record number.
ImageSet grey_images(std::int64_t count) {
  ImageSet images;
  images.height = images.width = 2;
  for (std::int64_t i = 0; i < count; ++i) {
    images.pixels.insert(images.pixels.end(), 12, std::uint8_t(i));
    images.labels.push_back(i % 3);
  }
  return images;
}

// x/255 without constants.
kernels::AugmentSpec plain() {
  return {.height = 2, .width = 2};
}

// [B, 3] whose first column is the first pixel times 255.
Tensor first_pixel(const Tensor& x) {
  const auto values = x.to_vector();
  std::vector<double> out;
  for (std::int64_t i = 0; i < x.size(0); ++i) {
    out.insert(out.end(), {values[std::size_t(i * 12)] * 255, 0, -1});
  }
  return Tensor::from(out, {x.size(0), 3});
}

}  // namespace

TEST_CASE("records come out in their order, whatever the chunk", "[predict]") {
  const ImageSet images = grey_images(20);
  const std::vector<std::int64_t> records{7, 3, 19, 0, 3, 11, 12};
  for (std::int64_t chunk : {1, 2, 3, 7, 256}) {
    std::int64_t calls = 0, last = 0;
    PredictOptions options{.chunk = chunk, .dtype = DType::float64};
    options.progress = [&](std::int64_t done, std::int64_t total) {
      ++calls;
      last = done;
      REQUIRE(total == 7);
    };
    const Predictions p = predict(first_pixel, images, records, plain(), options);
    REQUIRE(p.num_classes == 3);
    REQUIRE(p.rows() == 7);
    REQUIRE(last == 7);
    REQUIRE(calls == (7 + chunk - 1) / chunk);
    for (std::size_t i = 0; i < records.size(); ++i) {
      // One rounding of /255 and one of *255.
      REQUIRE(std::abs(p.logits[i * 3] - double(records[i])) <= 1e-13);
      REQUIRE(p.labels[i] == records[i] % 3);
    }
  }
}

TEST_CASE("a NaN is an error of the run", "[predict]") {
  const ImageSet images = grey_images(20);
  const auto poisoned = [](const Tensor& x) {
    Tensor y = first_pixel(x);
    double* values = y.output<double>();
    for (std::int64_t i = 0; i < y.numel(); i += 3) {
      if (std::lround(values[i]) == 11) values[i + 1] = NAN;
    }
    return y;
  };
  const PredictOptions options{.chunk = 2, .dtype = DType::float64};
  const std::vector<std::int64_t> good{1, 2, 3}, bad{1, 2, 11};
  REQUIRE(error_of([&] { predict(poisoned, images, good, plain(), options); }).empty());
  REQUIRE(contains(error_of([&] { predict(poisoned, images, bad, plain(), options); }),
                   "record 11: the logit of class 1 is NaN"));
  const auto wrong = [](const Tensor& x) { return Tensor::zeros({x.size(0) + 1, 3}, x.dtype()); };
  REQUIRE(contains(error_of([&] { predict(wrong, images, good, plain(), options); }),
                   "expected logits of shape [2, n], got [3, 3]"));
}

TEST_CASE("logits and features of a network", "[predict]") {
  ImageSet images;
  images.height = images.width = 8;
  for (int i = 0; i < 5 * 192; ++i) images.pixels.push_back(std::uint8_t(i * 37 % 251));
  images.labels = {0, 1, 2, 3, 0};
  const auto model = make_model("resnet8", 4);
  const Params params = model->init(1, DType::float64);
  const Params buffers = model->initial_buffers(DType::float64);
  const auto run = [&](const Tensor& x) {
    const ModelOutput out = model->forward(params, buffers, x, Mode::eval);
    return LogitsAndFeatures{out.logits, out.features};
  };
  const std::vector<std::int64_t> records{0, 1, 2, 3, 4};
  const auto transform = eval_spec("cifar-basic", "", 8, 8);
  const auto whole_set =
      predict_with_features(run, images, records, transform, {.chunk = 5, .dtype = DType::float64});
  const auto pieces =
      predict_with_features(run, images, records, transform, {.chunk = 2, .dtype = DType::float64});
  REQUIRE(whole_set.feature_count == 64);
  REQUIRE(whole_set.features.size() == 5 * 64);
  REQUIRE(pieces.predictions.labels == images.labels);
  for (std::size_t i = 0; i < whole_set.features.size(); ++i) {
    // In evaluation mode the batch does not matter but for the order of sums.
    REQUIRE(std::abs(whole_set.features[i] - pieces.features[i]) <= 1e-12);
  }
}

TEST_CASE("an ensemble is the mean of probabilities", "[predict]") {
  const Predictions a{2, {std::log(0.9), std::log(0.1), 0, 0}, {0, 1}};
  const Predictions b{2, {std::log(0.3), std::log(0.7), 3, 3 + std::log(3)}, {0, 1}};
  const Predictions joined = ensemble(std::vector{a, b});
  REQUIRE(joined.labels == a.labels);
  const auto p = probabilities(joined);
  const std::vector<double> expected{0.6, 0.4, 0.375, 0.625};
  for (std::size_t i = 0; i < 4; ++i) {
    REQUIRE(std::abs(p[i] - expected[i]) <= 1e-15);
    REQUIRE(std::abs(joined.logits[i] - std::log(expected[i])) <= 1e-15);
  }
  Predictions other = b;
  other.labels[0] = 1;
  REQUIRE(contains(error_of([&] { ensemble(std::vector{a, other}); }), "from member 1"));
  REQUIRE(contains(error_of([] { ensemble({}); }), "at least 1 member"));
}
