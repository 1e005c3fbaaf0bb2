#include "apps/eval/report.h"

#include <cmath>

#include "kernels/base/error.h"
#include "methods/evaluation/text_table.h"

namespace ek {
namespace {

using Row = std::vector<std::string>;
constexpr const char* none = "–";

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.2f}", 100 * *fraction) : none;
}

// One column of the table of metrics.
struct Column {
  std::string name;
  const Metrics* metrics;
};

std::vector<Column> columns_of(const EvalReport& report) {
  std::vector<Column> columns;
  const auto add = [&](const std::string& name, const EvalFigures& figures) {
    columns.push_back({name, &figures.metrics});
    if (figures.corrected) columns.push_back({name + " PC", &*figures.corrected});
  };
  const bool alone = report.checkpoints.size() == 1;
  for (std::size_t i = 0; i < report.checkpoints.size(); ++i) {
    add(alone ? "model" : fmt::format("[{}]", i + 1), report.checkpoints[i]);
  }
  if (report.ensemble) add("ensemble", *report.ensemble);
  return columns;
}

std::string metrics_table(const EvalReport& report) {
  const auto columns = columns_of(report);
  Row header{"percent"};
  for (const Column& column : columns) header.push_back(column.name);
  TextTable table(header);
  const auto add = [&](std::string name, auto&& value) {
    Row row{std::move(name)};
    for (const Column& column : columns) row.push_back(value(*column.metrics));
    table.add(std::move(row));
  };
  const auto add_percent = [&](std::string name, auto member) {
    add(std::move(name), [member](const Metrics& m) { return percent(m.*member); });
  };
  const auto add_number = [&](std::string name, auto member) {
    add(std::move(name), [member](const Metrics& m) { return fmt::format("{:.4f}", m.*member); });
  };
  add_percent("overall", &Metrics::overall);
  add_percent("mean recall", &Metrics::mean_recall);
  add_percent("many", &Metrics::many);
  add_percent("medium", &Metrics::medium);
  add_percent("few", &Metrics::few);
  table.add_rule();
  add_percent("geometric mean", &Metrics::geometric_mean);
  add_percent("harmonic mean", &Metrics::harmonic_mean);
  add_percent("  without zero rule, geometric", &Metrics::geometric_mean_exact);
  add_percent("  without zero rule, harmonic", &Metrics::harmonic_mean_exact);
  add_percent("lowest recall", &Metrics::lowest_recall);
  add("classes of recall 0",
      [](const Metrics& m) { return std::to_string(m.zero_recall_classes); });
  table.add_rule();
  add_percent(fmt::format("ECE, {} bins", report.bins), &Metrics::ece);
  add_percent("MCE", &Metrics::mce);
  add_percent("mean confidence", &Metrics::average_confidence);
  add_number("NLL, nats", &Metrics::nll);
  add_number("Brier score", &Metrics::brier);
  return table.str();
}

// What a reader has to know about the evaluated set itself; the same for all columns.
std::string remarks(const EvalReport& report) {
  const Metrics& metrics = report.checkpoints[0].metrics;
  std::string out;
  std::vector<std::string> missing;
  for (std::size_t c = 0; c < metrics.per_class_recall.size(); ++c) {
    if (!metrics.per_class_recall[c]) missing.push_back(report.class_names[c]);
  }
  if (!missing.empty()) {
    out += fmt::format("classes without images, left out of all means: {}\n",
                       fmt::join(missing, ", "));
  }
  // Equal up to rounding when every class has the same number of images.
  if (std::abs(metrics.overall - metrics.mean_recall) > 1e-9) {
    out += "the set is not balanced: overall and mean recall differ\n";
  }
  if (!metrics.many && !metrics.medium && !metrics.few) {
    out += "the training counts are not known: no groups\n";
  }
  return out;
}

std::string shift_table(const EvalReport& report) {
  std::vector<const EvalFigures*> all;
  Row header{"top-1, percent", "images"};
  const auto add = [&](const std::string& name, const EvalFigures& figures) {
    all.push_back(&figures);
    header.push_back(name);
    if (figures.corrected) header.push_back(name + " PC");
  };
  const bool alone = report.checkpoints.size() == 1;
  for (std::size_t i = 0; i < report.checkpoints.size(); ++i) {
    add(alone ? "model" : fmt::format("[{}]", i + 1), report.checkpoints[i]);
  }
  if (report.ensemble) add("ensemble", *report.ensemble);

  TextTable table(header);
  for (std::size_t s = 0; s < all[0]->shifts.size(); ++s) {
    const ShiftResult& first = all[0]->shifts[s];
    Row row{first.spec.str(), std::to_string(first.images)};
    for (const EvalFigures* figures : all) {
      row.push_back(percent(figures->shifts[s].plain));
      if (figures->corrected) row.push_back(percent(figures->shifts[s].corrected));
    }
    table.add(std::move(row));
  }
  return table.str();
}

nlohmann::json figures_json(const EvalFigures& figures) {
  nlohmann::json out = figures.about;
  out["metrics"] = to_json(figures.metrics);
  if (figures.corrected) out["prior_corrected"] = to_json(*figures.corrected);
  for (const ShiftResult& shift : figures.shifts) {
    nlohmann::json entry{
        {"shift", shift.spec.str()}, {"images", shift.images}, {"overall", shift.plain}};
    if (shift.corrected) entry["overall_prior_corrected"] = *shift.corrected;
    out["shifts"].push_back(std::move(entry));
  }
  return out;
}

}  // namespace

nlohmann::json to_json(const EvalReport& report) {
  nlohmann::json out{{"data", report.data},   {"split", report.split},
                     {"split_hash", nullptr}, {"images", report.checkpoints[0].metrics.rows},
                     {"bins", report.bins},   {"checkpoints", nlohmann::json::array()}};
  if (!report.split_hash.empty()) out["split_hash"] = report.split_hash;
  for (const EvalFigures& figures : report.checkpoints) {
    out["checkpoints"].push_back(figures_json(figures));
  }
  if (report.ensemble) out["ensemble"] = figures_json(*report.ensemble);
  return out;
}

std::string to_text(const EvalReport& report) {
  std::string out;
  const bool alone = report.checkpoints.size() == 1;
  for (std::size_t i = 0; i < report.checkpoints.size(); ++i) {
    out += (alone ? "" : fmt::format("[{}] ", i + 1)) + report.checkpoints[i].title + "\n";
  }
  out += fmt::format("{}, {}: {} images{}\n\n", report.data, report.split,
                     report.checkpoints[0].metrics.rows,
                     report.split_hash.empty() ? "" : ", trained on split " + report.split_hash);
  out += metrics_table(report) + remarks(report);
  if (!report.checkpoints[0].shifts.empty()) out += "\n" + shift_table(report);
  if (report.checkpoints[0].corrected) out += "\nPC: logits corrected for the prior of the set\n";
  return out;
}

}  // namespace ek
