#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/images/dataset.h"

namespace ek {

// How a long-tailed training set is cut out of a balanced one (docs/protocol.md).
struct SplitSpec {
  std::string profile = "exponential";  // exponential | step | none (all images, n_max a cap)
  double imbalance = 100;               // first class over last class, >= 1; unused for none
  std::int64_t n_max = 0;               // 0: smallest class of the source less meta_per_class
  std::string subset = "ldam";          // ldam (legacy NumPy shuffle) | first (file order)
  std::uint64_t subset_seed = 0;        // of ldam; below 2^32
  std::int64_t meta_per_class = 0;      // images held out of each class for meta and validation
};

struct Split {
  SplitSpec spec;  // n_max filled in
  // Records of the source's training set, class after class in the order of selection.
  std::vector<std::int64_t> train_index, meta_index;
  std::vector<std::int64_t> class_counts;  // of train_index, [num_classes]
  // FNV-1a, 64 bits, over the number of training records, the training records, the number of meta
  // records and the meta records, each as 8 bytes, lowest first.
  std::uint64_t hash = 0;
};

// n_c for classes 0 ... num_classes - 1:
//   exponential  floor(n_max * imbalance^(-c / (num_classes - 1)) + 1e-9)
//   step         n_max for the first num_classes / 2 classes, floor(n_max / imbalance + 1e-9) after
// Error for another profile, imbalance below 1 or n_max below 1.
std::vector<std::int64_t> profile_counts(std::string_view profile, std::int64_t n_max,
                                         double imbalance, std::int64_t num_classes);

// Selects the records. A class without any image in `train` takes no part: the profile runs over
// the classes that are there, in label order (a CIFAR-10 folder may hold three of ten classes).
// Error naming the class when it has too few images or its count comes out as 0.
//   ldam   one generator for all classes: shuffle the class's records (ascending), the first n_c
//          are for training, the last meta_per_class are held out
//   first  the last meta_per_class in file order are held out, the first n_c are for training
Split make_split(const ImageSet& train, std::int64_t num_classes, const SplitSpec& spec);

// Largest over smallest count of the classes that are there; 1 where there is none.
double imbalance_of(std::span<const std::int64_t> counts);

// "" or one line without a full stop, where the profile of `split` leaves out more than half of the
// training images of a set that is unbalanced already: an imbalance of 2 or more, which balanced
// sets with ragged classes (ImageNet, Places365) stay below. Names `cure`, what keeps the images.
std::string profile_warning(std::span<const std::int64_t> source_counts, const Split& split,
                            std::string_view cure);

// Groups by training count; `absent` is a class without training images.
enum class ClassGroup : std::uint8_t { many, medium, few, absent };
inline constexpr std::int64_t many_above = 100, few_below = 20;
std::string_view name_of(ClassGroup group);
std::vector<ClassGroup> class_groups(std::span<const std::int64_t> counts,
                                     std::int64_t above = many_above,
                                     std::int64_t below = few_below);

}  // namespace ek
