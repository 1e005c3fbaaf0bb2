#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/longtail.h"

namespace ek {

// What a run stores about its split, as manifest.json:
//   data      {name, format, classes, train_images, test_images, height, width, channels}
//   split     {profile, imbalance, n_max, subset, subset_seed, meta_per_class}
//   counts    training images per class;  total;  meta_total
//   thresholds {many_above, few_below};  groups {many, medium, few}: numbers of classes
//   class_names;  difficulty, per class, of synthetic data alone
//   hash      of the selected records (Split::hash), 16 hexadecimal digits
nlohmann::json manifest_json(const DataSource& source, const Split& split);

// The parts of a manifest that decide whether two results may be compared.
struct Manifest {
  std::string data_name, format;
  SplitSpec spec;
  std::vector<std::int64_t> class_counts;
  std::int64_t meta_total = 0;
  std::vector<std::string> class_names;  // in label order
  std::int64_t height = 0, width = 0;    // of the images; 0 where an older manifest says nothing
  std::string hash;
};

// Error naming `where` and the key when one is missing or of the wrong type.
Manifest parse_manifest(const nlohmann::json& json, const std::string& where);
Manifest read_manifest(const std::filesystem::path& file);

// Error in one line, with the first difference, unless both name the same records of the same kind
// of data: class names in their order, image size, split. The folder's name may differ: data sets
// get moved.
void require_same_split(const Manifest& a, const std::string& name_a, const Manifest& b,
                        const std::string& name_b);

// The same for data that is at hand: format, class names in their order and image size of what the
// manifest was made of. `who` begins the message, `cure` ends it.
void require_same_data(const Manifest& manifest, const std::string& who, const DataSource& source,
                       const std::string& cure);

}  // namespace ek
