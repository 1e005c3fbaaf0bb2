#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/tensor/random.h"

namespace ek {

// An endless sequence of draws from a subset of a data set, which can be entered anywhere: what
// is at a position follows from the seed and the position alone. So resuming needs no state, and
// ranks and threads agree on every batch. All samplers are thread-safe.
class Sampler {
 public:
  virtual ~Sampler() = default;
  // Draws in a nominal epoch; position p lies in epoch p / epoch_length().
  virtual std::int64_t epoch_length() const = 0;
  // Index into the subset (not a record of the data set) of draw `position` >= 0.
  virtual std::int64_t at(std::int64_t position) const = 0;
};
using SamplerPtr = std::shared_ptr<const Sampler>;

// Each of `count` items once per epoch, in a fresh permutation each time.
SamplerPtr shuffled_sampler(std::int64_t count, std::uint64_t seed,
                            Purpose purpose = Purpose::shuffle);

// Class-aware sampling (docs/protocol.md): the classes in turn, in a permutation that is
// fresh for each cycle; each turn takes `consecutive` items of the class's own shuffled cycle. An
// epoch is max_c n_c times the number of classes. `labels` are those of the subset; classes
// without an item are left out. Published scripts take 4 consecutive items (1 for some meta sets).
SamplerPtr class_balanced_sampler(std::span<const std::int64_t> labels, std::int64_t num_classes,
                                  std::uint64_t seed, std::int64_t consecutive = 4,
                                  Purpose purpose = Purpose::sampler);

// Independent draws: a class with the given probabilities (non-negative, any sum; 0 for classes
// without an item), then one of its items, uniform with replacement. An epoch is as many draws as
// there are items.
SamplerPtr class_probability_sampler(std::span<const std::int64_t> labels,
                                     std::vector<double> class_probability, std::uint64_t seed,
                                     Purpose purpose = Purpose::sampler);

// As class_probability_sampler, with the probabilities moving over `epochs` epochs from those of
// the instances to equal ones: share of the latter t / (epochs - 1), t = 0 ... epochs - 1.
SamplerPtr progressive_sampler(std::span<const std::int64_t> labels, std::int64_t num_classes,
                               std::int64_t epochs, std::uint64_t seed,
                               Purpose purpose = Purpose::sampler);

// Class probabilities for counts n_c; all add up to 1, and are 0 where n_c is 0.
std::vector<double> power_probabilities(std::span<const std::int64_t> counts, double q);  // n_c^q
std::vector<double> reversed_probabilities(std::span<const std::int64_t> counts);         // 1 / n_c
// Item weights (1 - beta) / (1 - beta^n_c), times n_c items.
std::vector<double> effective_number_probabilities(std::span<const std::int64_t> counts,
                                                   double beta = 0.9999);
std::vector<double> progressive_probabilities(std::span<const std::int64_t> counts,
                                              double class_share);

// By recipe name: shuffled, class-balanced, square-root, uniform-class, reversed,
// effective-number. Error listing them otherwise.
SamplerPtr make_sampler(std::string_view name, std::span<const std::int64_t> labels,
                        std::int64_t num_classes, std::uint64_t seed);
std::vector<std::string> sampler_names();

}  // namespace ek
