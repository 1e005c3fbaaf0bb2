#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace ek {

// A part of a status line. Where the line is too long, the parts with the highest `rank` go first;
// rank 0 stays.
struct StatusField {
  std::string text;
  int rank = 0;
};

// The fields that fit into `columns`, two spaces between them, in their order. What is left of it
// is cut to the columns.
std::string fitted(const std::vector<StatusField>& fields, std::size_t columns);

// "0:07", "1:02:03".
std::string duration(double seconds);

// A line of news on stderr that is redrawn in its place on a terminal, as wide as that is at the
// moment; elsewhere a plain line with all fields every few seconds.
class StatusLine {
 public:
  StatusLine();
  ~StatusLine() { clear(); }
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  bool on_terminal() const { return terminal_; }
  // Whether it is time for another line; `always` says that it is.
  bool is_due(bool always = false);
  void show(const std::vector<StatusField>& fields);
  // A line of its own, above.
  void message(const std::string& text);
  void clear();

 private:
  bool terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace ek
