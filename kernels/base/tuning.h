#pragma once
#include <array>
#include <compare>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/base/backend.h"
#include "kernels/base/float_products.h"

// Which version (kernels/base/versions.h) a call of a GPU kernel runs: the one that is named, else
// that of the table in force, else that of a rule. Versions round differently, so that a table is
// part of a result, as a seed is (docs/cuda.md, "Tuning").
namespace ek::kernels {

enum class CallType : std::uint8_t { float32, float64, bfloat16 };
// By the numbers of CallType and FloatProducts, as tables have them.
inline constexpr std::string_view call_type_names[]{"float32", "float64", "bfloat16"};
inline constexpr std::string_view product_names[]{"exact", "tf32"};

template <class T>
inline constexpr CallType call_type = CallType::float32;
template <>
inline constexpr CallType call_type<double> = CallType::float64;
template <>
inline constexpr CallType call_type<bf16> = CallType::bfloat16;

// What a choice may depend on: the function and all sizes and flags that decide which versions
// serve the call and how long they take. Two calls that are equal are served by the same versions.
struct Call {
  static constexpr std::size_t most_sizes = 20;

  std::string_view function;  // lasts as long as the process
  CallType type = CallType::float32;
  FloatProducts products = FloatProducts::exact;
  std::array<std::int64_t, most_sizes> sizes{};  // as size_names has them, then zeros

  auto operator<=>(const Call&) const = default;
};

// The names of a function's sizes, in the order of Call::sizes: {"m", "n", "k", ...}. Empty where
// no table chooses among its versions.
std::span<const std::string_view> size_names(std::string_view function);
// The functions that have such names, in alphabetical order.
std::span<const std::string_view> tuned_functions();

// "gemm of float32, tf32 products, m 128, n 100, ..."
std::string describe(const Call& call);

// Versions by call. Look-ups allocate nothing.
class TuningTable {
 public:
  struct Choice {
    Call call;
    int version;  // place in versions_of(call.function)
  };
  TuningTable() = default;
  // Error naming the call that comes twice.
  explicit TuningTable(std::vector<Choice> choices);

  // -1: the table says nothing of it.
  int find(const Call& call) const;
  bool empty() const { return choices_.empty(); }

 private:
  std::vector<Choice> choices_;  // sorted
};

// The table that is in force in all threads while the scope lives; the innermost counts, null is
// none. For before work begins: not while another thread launches kernels.
class ScopedTuning {
 public:
  explicit ScopedTuning(const TuningTable* table);
  ~ScopedTuning();
  ScopedTuning(const ScopedTuning&) = delete;
  ScopedTuning& operator=(const ScopedTuning&) = delete;

 private:
  const TuningTable* before_;
};
const TuningTable* tuning_in_force();

// A call as a whole, to be run again: with the version that a ScopedVersion names.
struct Repeat {
  const void* state;
  void (*run)(const void* state);
  void operator()() const { run(state); }
};

// Makes the choices of a thread instead of the table, and may run calls to find out (engine/
// autotune.h does).
class CallTuner {
 public:
  virtual ~CallTuner() = default;
  // Bit v of `served` says that version v serves the call; `rule` is one of them, and so is what is
  // returned. While it decides, calls follow the table and the rules.
  virtual int choose(const Call& call, unsigned served, int rule, const Repeat& again) = 0;
};

// The tuner of this thread while the scope lives; the innermost counts, null is none.
class ScopedTuner {
 public:
  explicit ScopedTuner(CallTuner* tuner);
  ~ScopedTuner();
  ScopedTuner(const ScopedTuner&) = delete;
  ScopedTuner& operator=(const ScopedTuner&) = delete;

 private:
  CallTuner* before_;
};

// The version that runs for a call for which none is named. Error naming function, sizes and
// version where the table in force has one that does not serve it.
int chosen_version(const Call& call, unsigned served, int rule, const Repeat& again);

}  // namespace ek::kernels
