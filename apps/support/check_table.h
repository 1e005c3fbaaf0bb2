#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "apps/support/check_run.h"

// What all cases of each op came to, device by device and dtype by dtype.
namespace ek {

inline constexpr std::array check_dtypes{DType::float64, DType::float32, DType::bfloat16};

struct CheckColumn {
  Device device;
  DType dtype;
  std::string name() const;  // "cpu float32"
};

class CheckTable {
 public:
  explicit CheckTable(std::vector<CheckColumn> columns) : columns_(std::move(columns)) {}

  // Adds the outcomes of a case; `mode` and the case's name go into the lines of failures.
  void add(std::size_t column, const CheckCase& one, const CheckOutcomes& outcomes,
           std::string_view mode);

  // A tick says that every case passed in this very run; a refusal or failure of one counts for
  // all. Below the table, each refusal and failure by its words.
  std::string markdown() const;
  // The same on a terminal.
  std::string text() const;

  int failures() const { return int(failures_.size()); }
  int passed() const { return passed_; }  // parts of cases
  // Largest relative error by column and part, for the tolerances.
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
  std::map<std::pair<std::size_t, CheckPart>, double> errors_;
  int passed_ = 0;
};

}  // namespace ek
