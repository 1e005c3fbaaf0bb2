#pragma once
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "apps/check/run.h"

// What all cases of each op came to, device by device and type by type.
namespace ek {

inline constexpr std::array check_types{CheckType(DType::float64), CheckType(DType::float32),
                                        CheckType(DType::bfloat16),
                                        CheckType(DType::float32, kernels::FloatProducts::tf32)};
// Those that a device has: the CPU has exact products alone.
std::vector<CheckType> check_types_of(Device device);

struct CheckColumn {
  Device device;
  CheckType type;
  std::string name() const;  // "cpu float32"
};

class CheckTable {
 public:
  explicit CheckTable(std::vector<CheckColumn> columns) : columns_(std::move(columns)) {}

  // Adds the outcomes of a case; `mode` and the case's name go into the lines of failures.
  void add(std::size_t column, const CheckCase& one, const CheckOutcomes& outcomes,
           std::string_view mode);

  // A tick says that every case passed in this very run; a refusal or failure of one counts for
  // all, and a dot says that none was run. Below the table, each refusal and failure by its words.
  std::string markdown() const;
  // The same on a terminal.
  std::string text() const;

  int failures() const { return int(failures_.size()); }
  int passed() const { return passed_; }    // parts of cases
  int refused() const { return refused_; }  // parts of cases
  // Largest relative error by column, part and tolerance.
  std::string errors() const;

 private:
  struct Row {
    std::string op;
    std::vector<CheckOutcomes> cells;  // by column
  };
  Row& row(const std::string& op);
  // One line for each column and kind of refusal.
  std::vector<std::string> refusals() const;

  std::vector<CheckColumn> columns_;
  std::vector<Row> rows_;
  std::vector<std::string> failures_;
  // Words without the name before them, column, the ops, each with the name if it is another one.
  std::map<std::pair<std::string, std::size_t>, std::vector<std::string>> refusals_;
  std::map<std::tuple<std::size_t, CheckPart, double>, double> errors_;
  int passed_ = 0, refused_ = 0;
};

}  // namespace ek
