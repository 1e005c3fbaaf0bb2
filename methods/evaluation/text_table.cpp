#include "methods/evaluation/text_table.h"

#include <algorithm>

namespace ek {
namespace {

bool continues(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

std::vector<std::size_t> column_widths(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows[0].size(), 0);
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], text_width(row[i]));
  }
  return widths;
}

}  // namespace

std::size_t text_width(const std::string& text) {
  return text.size() - std::size_t(std::count_if(text.begin(), text.end(), continues));
}

std::string shortened(const std::string& text, std::size_t width) {
  if (text_width(text) <= width) return text;
  std::size_t end = 0;
  for (std::size_t seen = 0; end < text.size(); ++end) {
    if (!continues(text[end]) && seen++ == width - 1) break;
  }
  return text.substr(0, end) + "…";
}

TextTable::TextTable(std::vector<std::string> header, std::size_t left) : left_(left) {
  rows_.push_back(std::move(header));
  add_rule();
}

void TextTable::add(std::vector<std::string> row) {
  row.resize(rows_[0].size());
  rows_.push_back(std::move(row));
}

void TextTable::add_rule() {
  rows_.emplace_back();
}

std::size_t TextTable::width() const {
  std::size_t sum = 0;
  for (std::size_t w : column_widths(rows_)) sum += w + 2;
  return sum - 2;
}

std::string TextTable::str() const {
  const auto widths = column_widths(rows_);
  std::string out;
  for (const auto& row : rows_) {
    std::string line = row.empty() ? std::string(width(), '-') : "";
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - text_width(row[i]), ' ');
      line += (i > 0 ? "  " : "") + (i < left_ ? row[i] + space : space + row[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

}  // namespace ek
