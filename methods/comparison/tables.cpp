#include "methods/comparison/tables.h"

#include <algorithm>
#include <utility>

#include "kernels/base/error.h"
#include "methods/evaluation/text_table.h"

namespace ek {
namespace {

using Row = std::vector<std::string>;
using Indices = Comparison::Indices;
constexpr const char* none = "–";
constexpr std::size_t longest_name = 40;
// The label column takes what the names leave of a terminal's 100 columns, within limits.
constexpr std::size_t beside_names = 40, narrowest_label = 26;

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.2f}", 100 * *fraction) : none;
}

// What tells a run from the first, as lines of a column. A piece that is wider than the column is
// broken behind its "=".
std::vector<std::string> label_lines(const std::vector<std::string>& pieces, std::size_t width) {
  std::vector<std::string> lines;
  const auto put = [&](const std::string& text) {
    if (lines.empty() || text_width(lines.back()) + 1 + text_width(text) > width) {
      lines.push_back(text);
    } else {
      lines.back() += " " + text;
    }
  };
  for (const std::string& piece : pieces) {
    const std::size_t equals = piece.find('=');
    if (text_width(piece) <= width || equals == std::string::npos) {
      put(piece);
    } else {
      lines.push_back(piece.substr(0, equals + 1));
      lines.push_back("  " + piece.substr(equals + 1));
    }
  }
  if (lines.empty()) lines.emplace_back();
  return lines;
}

// A row whose second cell goes on in rows below.
void add_labelled(TextTable& table, Row row, std::size_t label,
                  const std::vector<std::string>& lines) {
  row[label] = lines[0];
  table.add(std::move(row));
  for (std::size_t i = 1; i < lines.size(); ++i) {
    Row more(label + 1);
    more[label] = lines[i];
    table.add(std::move(more));
  }
}

// A label that takes several lines is written out once: later runs that are equal but for the seed
// refer to it.
std::vector<std::string> label_of(const Comparison& c, std::size_t run, std::size_t width) {
  std::vector<std::string> pieces = c.differs[run];
  if (run == 0) pieces = {c.runs[0].recipe.empty() ? none : c.runs[0].recipe};
  for (std::size_t i = 1; i < run && label_lines(pieces, width).size() > 1; ++i) {
    if (!same_but_for_seed(c.runs[i].settings, c.runs[run].settings)) continue;
    pieces = {fmt::format("as [{}]", i + 1)};
    for (std::string& piece : differences(c.runs[i].settings, c.runs[run].settings)) {
      pieces.push_back(std::move(piece));
    }
  }
  if (!c.notes[run].empty()) pieces.push_back("(" + c.notes[run] + ")");
  return label_lines(pieces, width);
}

std::string split_rows(const Comparison& c, const Indices& split) {
  TextTable table(
      {"", "run", "differs from [1]", "overall", "many", "medium", "few", "best val", "best test*"},
      3);
  std::size_t width = beside_names;
  for (const std::size_t i : split) {
    const std::size_t name = std::min(text_width(c.names[i]), longest_name);
    width = std::min(width, std::max(beside_names - name, narrowest_label));
  }
  for (const std::size_t i : split) {
    Row row{fmt::format("[{}]", i + 1), shortened(c.names[i], longest_name), ""};
    for (const auto& value : figures_of(c.runs[i])) row.push_back(percent(value));
    add_labelled(table, std::move(row), 2, label_of(c, i, width));
  }
  const RunResult& run = c.runs[split[0]];
  return table.str() +
         fmt::format("split {}: {}\npercent, last step; * chosen on the test set, optimistic\n",
                     run.split_hash, describe_split(run));
}

// "45.67 ± 0.32", or the value alone.
std::string spread(const std::vector<double>& fractions) {
  std::vector<double> values;
  for (const double fraction : fractions) values.push_back(100 * fraction);
  const MeanStd stats = mean_std(values);
  return stats.std ? fmt::format("{:.2f} ± {:.2f}", stats.mean, *stats.std)
                   : fmt::format("{:.2f}", stats.mean);
}

// Where one of the runs has no number, the mean has none.
std::string spread_of(const Comparison& c, const Indices& runs, std::size_t column) {
  std::vector<double> values;
  for (const std::size_t i : runs) {
    if (const auto value = figures_of(c.runs[i])[column]) values.push_back(*value);
  }
  return values.size() < runs.size() ? none : spread(values);
}

std::string mean_rows(const Comparison& c, const Indices& split) {
  TextTable table({"seeds", "overall", "many", "medium", "few", "best val", "best test*"});
  bool any = false;
  for (const Indices& same : c.repeated) {
    if (std::ranges::find(split, same[0]) == split.end()) continue;
    any = true;
    std::vector<std::string> numbers;
    for (const std::size_t i : same) numbers.push_back(fmt::format("[{}]", i + 1));
    Row row{fmt::format("mean of {}: {}", same.size(), fmt::join(numbers, " "))};
    for (std::size_t column = 0; column < figures_of(c.runs[0]).size(); ++column) {
      row.push_back(spread_of(c, same, column));
    }
    table.add(std::move(row));
  }
  if (!any) return "";
  return "\n" + table.str() + "mean ± sample deviation of runs that are equal but for the seed\n";
}

// A split's column: its imbalance, and the start of its hash where others have the same.
std::vector<std::string> split_columns(const Comparison& c) {
  const auto name = [&](const Indices& split) {
    return fmt::format("imbalance {:.4g}", imbalance_of(c.runs[split[0]]));
  };
  std::vector<std::string> names;
  for (const Indices& split : c.splits) {
    const auto same =
        std::ranges::count_if(c.splits, [&](const Indices& o) { return name(o) == name(split); });
    const std::string hash = c.runs[split[0]].split_hash.substr(0, 6);
    names.push_back(same > 1 ? name(split) + " " + hash : name(split));
  }
  return names;
}

// Runs by their settings but for the split and the seed; those done twice are left out.
std::vector<Indices> same_settings(const Comparison& c) {
  std::vector<Indices> groups;
  for (std::size_t i = 0; i < c.runs.size(); ++i) {
    if (c.runs[i].finished && !c.notes[i].empty()) continue;
    const RunSettings mine = without_split(c.runs[i].settings);
    const auto found = std::ranges::find_if(groups, [&](const Indices& group) {
      return same_but_for_seed(without_split(c.runs[group[0]].settings), mine);
    });
    found == groups.end() ? groups.push_back({i}) : found->push_back(i);
  }
  return groups;
}

// Overall accuracy of those of `same` that are in `split`: of the finished ones or, where there is
// none, of the first with the step where it stands.
std::string overall_in(const Comparison& c, const Indices& same, const Indices& split) {
  std::vector<double> finished;
  std::string begun;
  for (const std::size_t i : same) {
    if (std::ranges::find(split, i) == split.end()) continue;
    const auto overall = figures_of(c.runs[i])[0];
    if (!overall) continue;
    if (c.runs[i].finished) {
      finished.push_back(*overall);
    } else if (begun.empty()) {
      begun = fmt::format("{} (step {})", percent(overall), c.runs[i].step);
    }
  }
  return !finished.empty() ? spread(finished) : begun.empty() ? none : begun;
}

std::vector<std::string> label_without_split(const Comparison& c, std::size_t run) {
  const RunSettings first = without_split(c.runs[0].settings);
  RunSettings other = without_split(c.runs[run].settings);
  other.seed = first.seed;
  std::vector<std::string> pieces = differences(first, other);
  if (pieces.empty()) pieces = {c.runs[0].recipe};
  return label_lines(pieces, beside_names);
}

}  // namespace

std::string comparison_table(const Comparison& comparison) {
  std::string text;
  for (const Indices& split : comparison.splits) {
    if (!text.empty()) text += "\n";
    text += split_rows(comparison, split) + mean_rows(comparison, split);
  }
  return text;
}

std::string split_table(const Comparison& c) {
  if (c.splits.size() < 2) return "";
  Row header{"differs from [1]"};
  for (std::string& column : split_columns(c)) header.push_back(std::move(column));
  TextTable table(std::move(header));
  for (const Indices& same : same_settings(c)) {
    Row row{""};
    for (const Indices& split : c.splits) row.push_back(overall_in(c, same, split));
    add_labelled(table, std::move(row), 0, label_without_split(c, same[0]));
  }
  return table.str() +
         "overall, percent, last step; mean ± sample deviation over seeds; (step) of unfinished "
         "runs\n";
}

}  // namespace ek
