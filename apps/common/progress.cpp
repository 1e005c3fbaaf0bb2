#include "apps/common/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

namespace ek {
namespace {

std::string duration(double seconds) {
  const auto total = std::int64_t(seconds);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

// What there is to say, the most important first; a narrow terminal gets the first few.
std::vector<std::string> fields(const Progress& p) {
  return {fmt::format("step {}/{}", p.step, p.end_step),
          fmt::format("left {}", duration(p.seconds_left)),
          fmt::format("loss {:.4f}", p.loss),
          fmt::format("{:.1f} steps/s", p.steps_per_s),
          fmt::format("epoch {}", p.epoch),
          fmt::format("lr {:.4g}", p.learning_rate),
          fmt::format("peak {} MiB", p.peak_bytes >> 20)};
}

std::string bar(const Progress& p) {
  constexpr std::int64_t width = 20;
  const std::int64_t filled = p.end_step > 0 ? width * p.step / p.end_step : width;
  return "[" + std::string(std::size_t(filled), '#') +
         std::string(std::size_t(width - filled), '.') + "] ";
}

// Columns of the terminal, asked anew each time, so that a resize is followed.
std::size_t terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(const Progress& progress, std::size_t columns) {
  std::string line;
  for (const std::string& field : fields(progress)) {
    const std::string more = (line.empty() ? "" : "  ") + field;
    if (line.size() + more.size() >= columns) break;  // the last column would wrap
    line += more;
  }
  const std::string drawn = bar(progress);
  return line.size() + drawn.size() < columns ? drawn + line : line;
}

ProgressPrinter::ProgressPrinter() : terminal_(isatty(STDERR_FILENO) == 1) {}

ProgressPrinter::~ProgressPrinter() {
  clear();
}

void ProgressPrinter::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

void ProgressPrinter::show(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const auto interval =
      terminal_ ? std::chrono::milliseconds(200) : std::chrono::milliseconds(5000);
  if (now - last_ < interval && progress.step != progress.end_step) return;
  last_ = now;
  clear();
  if (terminal_) {
    std::fputs(progress_line(progress, terminal_columns()).c_str(), stderr);
    drawn_ = true;
  } else {
    std::fputs((fmt::format("{}", fmt::join(fields(progress), "  ")) + "\n").c_str(), stderr);
  }
  std::fflush(stderr);
}

void ProgressPrinter::message(const std::string& text) {
  clear();
  std::fputs((text + "\n").c_str(), stderr);
}

}  // namespace ek
