#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/longtail.h"

namespace ek {

// What a run stores about its split (docs/runs.md), as manifest.json:
//   data      {name, format, classes, train_images, test_images, height, width, channels}
//   split     {profile, imbalance, n_max, subset, subset_seed, meta_per_class}
//   counts    training images per class;  total;  meta_total
//   thresholds {many_above, few_below};  groups {many, medium, few}: numbers of classes
//   class_names;  difficulty, per class, of synthetic data alone
//   hash      of the selected records (Split::hash), 16 hexadecimal digits
nlohmann::json manifest_json(const DataSource& source, const Split& split);

// What makes a data set the one that a model was trained for, beside its records: a class is known
// by its place, so the names and their order count, and the size of the images does.
struct DataIdentity {
  std::vector<std::string> class_names;              // empty where it is not known
  std::int64_t height = 0, width = 0, channels = 0;  // 0 where it is not known
};
DataIdentity identity_of(const DataSource& source);

// Error that names the first difference and `flag`, which allows it, unless `now` (of `name_now`)
// is the data of `stored` (of `name_stored`). What an older manifest does not say is not compared.
void require_same_data(const DataIdentity& stored, const std::string& name_stored,
                       const DataIdentity& now, const std::string& name_now,
                       const std::string& flag);

// The parts of a manifest that decide whether two results may be compared.
struct Manifest {
  std::string data_name, format;
  DataIdentity data;
  std::int64_t test_images = -1;  // -1: it does not say
  SplitSpec spec;
  std::vector<std::int64_t> class_counts;
  std::int64_t meta_total = 0;
  std::string hash;
};

// Error naming `where` and the key when one is missing or of the wrong type.
Manifest parse_manifest(const nlohmann::json& json, const std::string& where);
Manifest read_manifest(const std::filesystem::path& file);

// Error in one line, with the first difference, unless both name the same records of the same kind
// of data. The folder's name may differ: data sets get moved.
void require_same_split(const Manifest& a, const std::string& name_a, const Manifest& b,
                        const std::string& name_b);

}  // namespace ek
