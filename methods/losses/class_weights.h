#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace ek {

// Class weights from training counts, scaled so that the weights of the classes with training
// images sum to the number of these classes (all classes, as a rule). A class without any gets
// weight 0. Error unless counts are >= 0 and one is positive. Source: docs/losses.md.

// 1 / E_c with E_c = (1 - beta^n_c) / (1 - beta), the effective number of images; 0 <= beta < 1.
// beta = 0 gives 1 for every class.
std::vector<double> effective_number_weights(const std::vector<std::int64_t>& counts, double beta);
// n_c^(-power): 1 is inverse frequency, 0.5 inverse square root, 0 no weighting.
std::vector<double> power_weights(const std::vector<std::int64_t>& counts, double power);

// What stands for log 0 below: exp of it is 0 in every precision, and yet it is a finite number.
inline constexpr double log_of_absent = -1e4;

// log n_c, or log of the shares n_c / N with `share`; log_of_absent for a class without images, so
// that a softmax over them leaves it out.
std::vector<double> log_counts(const std::vector<std::int64_t>& counts, bool share);

}  // namespace ek
