#include "apps/common/progress.h"

#include <unistd.h>

#include <cstdio>

namespace ek {
namespace {

std::string duration(double seconds) {
  const auto total = std::int64_t(seconds);
  if (total < 3600) return fmt::format("{}:{:02}", total / 60, total % 60);
  return fmt::format("{}:{:02}:{:02}", total / 3600, total / 60 % 60, total % 60);
}

std::string describe(const Progress& p) {
  return fmt::format(
      "step {}/{}  epoch {}  loss {:.4f}  lr {:.4g}  {:.1f} steps/s  left {}  peak {} MiB", p.step,
      p.total_steps, p.epoch, p.loss, p.learning_rate, p.steps_per_s, duration(p.seconds_left),
      p.peak_bytes >> 20);
}

std::string bar(const Progress& p) {
  constexpr std::int64_t width = 20;
  const std::int64_t filled = p.total_steps > 0 ? width * p.step / p.total_steps : width;
  return "[" + std::string(std::size_t(filled), '#') +
         std::string(std::size_t(width - filled), '.') + "] ";
}

}  // namespace

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
  if (now - last_ < interval && progress.step != progress.total_steps) return;
  last_ = now;
  clear();
  if (terminal_) {
    std::fputs((bar(progress) + describe(progress)).c_str(), stderr);
    drawn_ = true;
  } else {
    std::fputs((describe(progress) + "\n").c_str(), stderr);
  }
  std::fflush(stderr);
}

void ProgressPrinter::message(const std::string& text) {
  clear();
  std::fputs((text + "\n").c_str(), stderr);
}

}  // namespace ek
