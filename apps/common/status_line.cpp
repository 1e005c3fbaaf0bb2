#include "apps/common/status_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "kernels/base/error.h"

namespace ek {
namespace {

// Asked each time: the window may have another size by now.
std::size_t terminal_columns() {
  constexpr std::size_t usual = 80;
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : usual;
}

std::string joined(const std::vector<StatusField>& fields, int highest_rank) {
  std::string line;
  for (const StatusField& field : fields) {
    if (field.rank > highest_rank || field.text.empty()) continue;
    if (!line.empty()) line += "  ";
    line += field.text;
  }
  return line;
}

}  // namespace

std::string fitted(const std::vector<StatusField>& fields, std::size_t columns) {
  int rank = 0;
  for (const StatusField& field : fields) rank = std::max(rank, field.rank);
  std::string line = joined(fields, rank);
  while (line.size() > columns && rank > 0) line = joined(fields, --rank);
  return line.substr(0, columns);
}

std::string duration(double seconds) {
  const auto total = std::int64_t(seconds + 0.5);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

StatusLine::StatusLine() : terminal_(isatty(STDERR_FILENO) == 1) {}

bool StatusLine::is_due(bool always) {
  const auto now = std::chrono::steady_clock::now();
  const auto interval =
      terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(5000);
  if (!always && now - last_ < interval) return false;
  last_ = now;
  return true;
}

void StatusLine::show(const std::vector<StatusField>& fields) {
  clear();
  if (terminal_) {
    // The last column stays free: a cursor beyond it wraps on some terminals.
    std::fputs(fitted(fields, terminal_columns() - 1).c_str(), stderr);
    drawn_ = true;
  } else {
    std::fputs((fitted(fields, std::string::npos) + "\n").c_str(), stderr);
  }
  std::fflush(stderr);
}

void StatusLine::message(const std::string& text) {
  clear();
  std::fputs((text + "\n").c_str(), stderr);
}

void StatusLine::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

}  // namespace ek
