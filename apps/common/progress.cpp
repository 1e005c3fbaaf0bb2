#include "apps/common/progress.h"

#include <algorithm>

#include "kernels/base/error.h"

namespace ek {
namespace {

std::string bar_of(std::int64_t done, std::int64_t all) {
  constexpr std::int64_t width = 20;
  const std::int64_t filled = all > 0 ? std::clamp<std::int64_t>(width * done / all, 0, width) : 0;
  return "[" + std::string(std::size_t(filled), '#') +
         std::string(std::size_t(width - filled), '.') + "]";
}

}  // namespace

std::vector<StatusField> progress_fields(const Progress& p, bool bar) {
  std::vector<StatusField> fields;
  if (bar) fields.push_back({bar_of(p.step, p.end_step), 6});
  fields.push_back({fmt::format("step {}/{}", p.step, p.end_step), 0});
  if (p.end_step < p.total_steps) fields.push_back({fmt::format("of {}", p.total_steps), 3});
  const std::string left = p.steps_per_s > 0 ? "left " + duration(p.seconds_left) : "";
  if (p.images > 0) {
    fields.push_back({fmt::format("evaluation: image {}/{}", p.images_done, p.images), 1});
    fields.push_back({left, 2});
    return fields;
  }
  fields.push_back({fmt::format("epoch {}", p.epoch), 5});
  fields.push_back({fmt::format("loss {:.4f}", p.loss), 2});
  fields.push_back({fmt::format("lr {:.4g}", p.learning_rate), 7});
  fields.push_back({fmt::format("{:.1f} steps/s", p.steps_per_s), 4});
  fields.push_back({left, 1});
  fields.push_back({fmt::format("peak {} MiB", p.peak_bytes >> 20), 8});
  return fields;
}

void ProgressPrinter::show(const Progress& p) {
  const bool last = p.images == 0 && p.step == p.end_step;
  if (line_.is_due(last)) line_.show(progress_fields(p, line_.on_terminal()));
}

}  // namespace ek
