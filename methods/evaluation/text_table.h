#pragma once
#include <string>
#include <vector>

namespace ek {

// Columns aligned for a terminal: the first `left` columns to the left, the others to the right,
// two spaces between them. Rows may be shorter than the header. Widths count characters, not bytes.
class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header, std::size_t left = 1);
  void add(std::vector<std::string> row);
  void add_rule();  // a line of dashes
  // Width of the widest line, characters.
  std::size_t width() const;
  std::string str() const;

 private:
  std::vector<std::vector<std::string>> rows_;  // an empty row is a rule
  std::size_t left_;
};

// Number of characters of UTF-8 text.
std::size_t text_width(const std::string& text);
// At most `width` characters, the last one an ellipsis where something was cut off.
std::string shortened(const std::string& text, std::size_t width);

}  // namespace ek
