#include "apps/check/table.h"

#include <algorithm>

namespace ek {
namespace {

// Failed over refused over passed over not run.
void merge(CheckOutcome& into, const CheckOutcome& outcome) {
  if (outcome.state > into.state) into = outcome;
}

constexpr std::string_view mark(CheckState state) {
  switch (state) {
    case CheckState::not_run:
      return "·";
    case CheckState::passed:
      return "✓";
    case CheckState::refused:
      return "–";
    case CheckState::failed:
      return "✗";
  }
  return "?";
}

std::string marks(const CheckOutcomes& outcomes) {
  std::string text;
  for (const CheckOutcome& outcome : outcomes) text += mark(outcome.state);
  return text;
}

// A refusal as the name before the colon and the words behind it, without the shape at the end: one
// line then stands for all ops and shapes.
std::pair<std::string, std::string> name_and_words(const std::string& detail) {
  const std::size_t colon = detail.find(": ");
  const std::string words = detail.substr(0, detail.find(", shape ["));
  if (colon == std::string::npos) return {"", words};
  return {words.substr(0, colon), words.substr(colon + 2)};
}

}  // namespace

std::vector<CheckType> check_types_of(Device device) {
  std::vector<CheckType> types(check_types.begin(), check_types.end());
  if (device == Device{}) std::erase_if(types, [](CheckType type) { return type.is_tf32(); });
  return types;
}

std::string CheckColumn::name() const {
  return fmt::format("{} {}", device.str(), type.name());
}

CheckTable::Row& CheckTable::row(const std::string& op) {
  const auto known = std::ranges::find(rows_, op, &Row::op);
  if (known != rows_.end()) return *known;
  rows_.push_back({op, std::vector<CheckOutcomes>(columns_.size())});
  return rows_.back();
}

void CheckTable::add(std::size_t column, const CheckCase& one, const CheckOutcomes& outcomes,
                     std::string_view mode) {
  CheckOutcomes& cell = row(one.op).cells[column];
  for (const CheckPart part : check_parts) {
    const CheckOutcome& outcome = outcomes[std::size_t(part)];
    merge(cell[std::size_t(part)], outcome);
    double& most = errors_[{column, part, outcome.allowed}];
    most = std::max(most, outcome.error);
    if (outcome.state == CheckState::passed) ++passed_;
    if (outcome.state == CheckState::failed) {
      failures_.push_back(fmt::format("{} {} {}: {} {}: {}", columns_[column].name(), one.op,
                                      name_of(part), mode, one.name, outcome.detail));
    } else if (outcome.state == CheckState::refused) {
      ++refused_;
      const auto [name, words] = name_and_words(outcome.detail);
      const std::string by = name == one.op ? one.op : fmt::format("{} (by {})", one.op, name);
      auto& ops = refusals_[{words, column}];
      if (std::ranges::count(ops, by) == 0) ops.push_back(by);
    }
  }
}

std::vector<std::string> CheckTable::refusals() const {
  std::vector<std::string> lines;
  for (const auto& [key, ops] : refusals_) {
    const auto& [words, column] = key;
    lines.push_back(
        fmt::format("{}, \"{}\": {}", columns_[column].name(), words, fmt::join(ops, ", ")));
  }
  return lines;
}

std::string CheckTable::markdown() const {
  std::string head = "| op |", line = "| --- |", body;
  for (const CheckColumn& column : columns_) {
    head += fmt::format(" {} |", column.name());
    line += " --- |";
  }
  for (const Row& row : rows_) {
    body += fmt::format("| `{}` |", row.op);
    for (const CheckOutcomes& cell : row.cells) body += fmt::format(" {} |", marks(cell));
    body += "\n";
  }
  std::string text = fmt::format("{}\n{}\n{}", head, line, body);
  if (!refusals_.empty()) text += "\nRefused:\n\n";
  for (const std::string& refusal : refusals()) text += fmt::format("- {}\n", refusal);
  if (!failures_.empty()) text += "\nFailed:\n\n";
  for (const std::string& failure : failures_) text += fmt::format("- {}\n", failure);
  return text;
}

std::string CheckTable::text() const {
  std::string text = fmt::format("{:<24}", "");
  for (const CheckColumn& column : columns_) text += fmt::format("  {:<14}", column.name());
  text += "\n";
  for (const Row& row : rows_) {
    text += fmt::format("{:<24}", row.op);
    for (const CheckOutcomes& cell : row.cells) text += fmt::format("  {}          ", marks(cell));
    text += "\n";
  }
  for (const std::string& refusal : refusals()) text += fmt::format("refused: {}\n", refusal);
  for (const std::string& failure : failures_) text += fmt::format("failed: {}\n", failure);
  return text;
}

std::string CheckTable::errors() const {
  std::string text;
  for (const auto& [key, error] : errors_) {
    const auto& [column, part, allowed] = key;
    if (error == 0) continue;
    text += fmt::format("largest relative error, {}, {}: {:.2g} (allowed {:.2g})\n",
                        columns_[column].name(), name_of(part), error, allowed);
  }
  return text;
}

}  // namespace ek
