#include "apps/support/check_table.h"

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

// The words of a refusal without the shape at its end, so that one line stands for all shapes.
std::string words(const std::string& detail) {
  return detail.substr(0, detail.find(", shape ["));
}

}  // namespace

std::string CheckColumn::name() const {
  return fmt::format("{} {}", device.str(), name_of(dtype));
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
    double& most = errors_[{column, part}];
    most = std::max(most, outcome.error);
    if (outcome.state == CheckState::passed) ++passed_;
    if (outcome.state == CheckState::failed) {
      failures_.push_back(fmt::format("{} {} {}: {} {}: {}", columns_[column].name(), one.op,
                                      name_of(part), mode, one.name, outcome.detail));
    } else if (outcome.state == CheckState::refused) {
      auto& places = refusals_[words(outcome.detail)];
      const std::string place = fmt::format("{} on {}", one.op, columns_[column].name());
      if (std::ranges::count(places, place) == 0) places.push_back(place);
    }
  }
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
  for (const auto& [words, places] : refusals_) {
    text += fmt::format("- `{}`: {}\n", words, fmt::join(places, ", "));
  }
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
  for (const auto& [words, places] : refusals_) {
    text += fmt::format("refused: {}: {}\n", words, fmt::join(places, ", "));
  }
  for (const std::string& failure : failures_) text += fmt::format("failed: {}\n", failure);
  return text;
}

std::string CheckTable::errors() const {
  std::string text;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    for (const CheckPart part : check_parts) {
      const auto known = errors_.find({c, part});
      if (known == errors_.end() || known->second == 0) continue;
      text += fmt::format("largest relative error, {}, {}: {:.2g} (allowed {:.2g})\n",
                          columns_[c].name(), name_of(part), known->second,
                          check_tolerance(columns_[c].dtype, part));
    }
  }
  return text;
}

}  // namespace ek
