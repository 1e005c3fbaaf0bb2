#pragma once
#include <nlohmann/json.hpp>

#include "data/images/folders.h"
#include "engine/tensor/random.h"
#include "tests/temp_dir.h"

// A data set for runs on slow devices: `per_class` training images of 8 x 8 in each of three
// classes, two test images, noise around a colour of the class. Returns the folder.
inline std::string tiny_data(const TempDir& dir, std::int64_t per_class = 10) {
  constexpr std::int64_t classes = 3, side = 8;
  ek::DataSource source;
  source.class_names = {"blue", "green", "red"};
  std::uint64_t drawn = 0;
  const ek::RandomStream random(7, ek::Purpose::test);
  const auto fill = [&](ek::ImageSet& images, std::int64_t of_each) {
    images.height = images.width = side;
    for (std::int64_t i = 0; i < classes * of_each; ++i) {
      const std::int64_t label = i / of_each;
      images.labels.push_back(label);
      for (std::int64_t k = 0; k < images.image_bytes(); ++k) {
        const double level = k % 3 == 2 - label ? 150 : 90;
        images.pixels.push_back(std::uint8_t(level + 60 * random.uniform(drawn++)));
      }
    }
  };
  fill(source.train, per_class);
  fill(source.test, 2);
  ek::save_folders(source, dir / "tiny");
  return (dir / "tiny").string();
}

// A recipe for them: ResNet-8, batches of four images.
inline std::string tiny_recipe(const std::string& method) {
  nlohmann::json json{{"data",
                       {{"imbalance", 2},
                        {"n_max", 8},
                        {"meta_per_class", 2},
                        {"normalize", "half"},
                        {"augment", "cifar-basic"}}},
                      {"model", {{"name", "resnet8"}}},
                      {"method", {{"name", method}}},
                      {"optim", {{"lr", 0.05}, {"momentum", 0.9}, {"weight_decay", 1e-4}}},
                      {"schedule", {{"unit", "iteration"}, {"length", 4}, {"kind", "constant"}}},
                      {"batch_size", 4},
                      {"eval", {{"every", 0}}},
                      {"checkpoint", {{"every", 3}}},
                      {"log", {{"every", 1}}}};
  if (method == "difficulty-net") {
    json["method"]["meta_batch"] = 3;
    json["method"]["accuracy_refresh"] = "iterations:2";
  }
  return json.dump();
}
