#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/images/dataset.h"

namespace ek {

// Data without files, for tests, tutorials and quick looks.
//
// "shapes": ten classes of drawn shapes, 32 x 32, 500 training and 100 test images per class, in
// the order class 0 ... 9, class 0 ... 9, and so on. How hard a class is has nothing to do with its
// place in the order, hence with its frequency in a long-tailed split: some of the first classes
// are hard, some of the last ones easy (DataSource::difficulty). Difficulty d lowers the contrast,
// adds noise and distracting marks, and bends a shape towards its sibling class (disc - square,
// plus - cross, ring - frame) until the two meet; siblings are equally hard. So a method that
// follows difficulty can be told from one that follows frequency.
//
// An image depends on the seed, its part (train or test) and its record number alone.
struct SyntheticSize {
  std::int64_t train_per_class = 500, test_per_class = 100;
};

// Error listing the names for an unknown one.
DataSource make_synthetic(std::string_view name, std::uint64_t seed = 0, SyntheticSize size = {});
std::vector<std::string> synthetic_names();

}  // namespace ek
