#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <utility>

#include "data/longtail.h"
#include "kernels/base/error.h"
#include "methods/evaluation/runs.h"
#include "methods/evaluation/text_table.h"

namespace ek {
namespace {

using nlohmann::json;
using Row = std::vector<std::string>;
constexpr const char* none = "–";
constexpr std::size_t terminal_width = 100;
constexpr std::size_t all_classes_up_to = 20, extremes = 10;

std::string percent(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.2f}", 100 * *fraction) : none;
}

std::optional<double> figure(const json& entry, const char* key) {
  if (!entry.is_object() || !entry.contains(key) || entry.at(key).is_null()) return std::nullopt;
  return entry.at(key).get<double>();
}

// The six numbers of a row of the comparison.
std::vector<std::optional<double>> figures_of(const RunResult& run) {
  return {figure(run.last, "overall"),
          figure(run.last, "many"),
          figure(run.last, "medium"),
          figure(run.last, "few"),
          figure(run.best_by_validation, "overall"),
          figure(run.best_on_test, "overall")};
}

// "45.67 ± 0.32" for each column in which all of `runs` have a number.
Row summary_row(const std::string& name, const std::vector<const RunResult*>& runs) {
  Row row{"", fmt::format("{}, mean of {}", name, runs.size())};
  for (std::size_t column = 0; column < figures_of(*runs[0]).size(); ++column) {
    std::vector<double> values;
    for (const RunResult* run : runs) {
      if (const auto value = figures_of(*run)[column]) values.push_back(100 * *value);
    }
    if (values.size() < runs.size()) {
      row.emplace_back(none);
      continue;
    }
    const MeanStd stats = mean_std(values);
    row.push_back(fmt::format("{:.2f} ± {:.2f}", stats.mean, stats.std.value_or(0)));
  }
  return row;
}

// What the class table shows for a class or, as means, for several.
struct ClassColumns {
  explicit ClassColumns(std::span<const RunResult> runs) : runs(runs) {
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (!runs[i].class_weight.empty()) weighted.push_back(i);
    }
    has_difficulty = !runs[0].difficulty.empty();
  }

  Row header() const {
    // Numbers are those of the comparison's rows; a lone run needs none.
    const auto of = [&](const char* what, std::size_t i) {
      return runs.size() == 1 ? std::string(what) : fmt::format("{} [{}]", what, i + 1);
    };
    Row row{"class", "images"};
    if (has_difficulty) row.emplace_back("difficulty");
    for (std::size_t i = 0; i < runs.size(); ++i) row.push_back(of("recall", i));
    for (std::size_t i : weighted) row.push_back(of("weight", i));
    return row;
  }

  Row row(const std::string& name, const std::vector<std::size_t>& classes) const {
    const auto mean = [&](auto&& value) -> std::optional<double> {
      std::vector<double> values;
      for (std::size_t c : classes) {
        if (const std::optional<double> v = value(c)) values.push_back(*v);
      }
      if (values.empty()) return std::nullopt;
      return mean_std(values).mean;
    };
    const auto plain = [](const std::optional<double>& value, int digits) {
      return value ? fmt::format("{:.{}f}", *value, digits) : std::string(none);
    };
    Row out{shortened(name, 24)};
    const auto images = mean([&](std::size_t c) { return double(runs[0].class_counts[c]); });
    out.push_back(plain(images, classes.size() > 1 ? 1 : 0));
    if (has_difficulty) {
      out.push_back(plain(mean([&](std::size_t c) { return runs[0].difficulty[c]; }), 2));
    }
    for (const RunResult& run : runs) {
      out.push_back(percent(mean([&](std::size_t c) -> std::optional<double> {
        if (!run.last.is_object() || !run.last.contains("per_class_recall")) return std::nullopt;
        const json& recall = run.last.at("per_class_recall")[c];
        if (recall.is_null()) return std::nullopt;
        return recall.get<double>();
      })));
    }
    for (std::size_t i : weighted) {
      out.push_back(plain(mean([&](std::size_t c) { return runs[i].class_weight[c]; }), 3));
    }
    return out;
  }

  std::span<const RunResult> runs;
  std::vector<std::size_t> weighted;  // runs with class weights
  bool has_difficulty = false;
};

void add_groups(const ClassColumns& columns, TextTable& table) {
  const auto groups = class_groups(columns.runs[0].class_counts);
  for (ClassGroup group : {ClassGroup::many, ClassGroup::medium, ClassGroup::few}) {
    std::vector<std::size_t> members;
    for (std::size_t c = 0; c < groups.size(); ++c) {
      if (groups[c] == group) members.push_back(c);
    }
    const std::string name = fmt::format("{}, mean of {}", name_of(group), members.size());
    if (!members.empty()) table.add(columns.row(name, members));
  }
}

// The classes of highest, then those of lowest weight.
void add_extremes(const ClassColumns& columns, TextTable& table) {
  if (columns.weighted.empty()) return;
  const auto& weight = columns.runs[columns.weighted[0]].class_weight;
  std::vector<std::size_t> order(weight.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return weight[a] > weight[b]; });
  const auto add = [&](std::size_t begin) {
    table.add_rule();
    for (std::size_t k = begin; k < begin + extremes; ++k) {
      table.add(columns.row(columns.runs[0].class_names[order[k]], {order[k]}));
    }
  };
  add(0);
  add(order.size() - extremes);
}

}  // namespace

std::string comparison_table(std::span<const RunResult> runs) {
  require_one_split(runs);
  TextTable table({"", "run", "overall", "many", "medium", "few", "best val", "best test*"}, 2);
  std::vector<std::string> names;  // in order of appearance
  std::map<std::string, std::vector<const RunResult*>> by_name;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    Row row{fmt::format("[{}]", i + 1), shortened(runs[i].name, 36)};
    for (const auto& value : figures_of(runs[i])) row.push_back(percent(value));
    table.add(std::move(row));
    auto& same = by_name[runs[i].name];
    if (same.empty()) names.push_back(runs[i].name);
    same.push_back(&runs[i]);
  }
  bool ruled = false;
  for (const std::string& name : names) {
    if (by_name[name].size() < 2) continue;
    if (!std::exchange(ruled, true)) table.add_rule();
    table.add(summary_row(shortened(name, 20), by_name[name]));
  }
  return table.str() +
         fmt::format("percent, last step; split {}; * chosen on the test set, optimistic\n",
                     runs[0].split_hash);
}

std::string class_table(std::span<const RunResult> runs) {
  require_one_split(runs);
  // As many runs as fit on a terminal; the text says so when some are left out.
  std::size_t shown = runs.size();
  const auto table_of = [](std::span<const RunResult> part) {
    const ClassColumns columns(part);
    TextTable table(columns.header());
    const std::size_t classes = part[0].class_counts.size();
    if (classes <= all_classes_up_to) {
      for (std::size_t c = 0; c < classes; ++c) {
        table.add(columns.row(part[0].class_names[c], {c}));
      }
    } else {
      add_groups(columns, table);
      add_extremes(columns, table);
    }
    return table;
  };
  TextTable table = table_of(runs);
  while (shown > 1 && table.width() > terminal_width) table = table_of(runs.first(--shown));
  std::string note;
  if (shown < runs.size())
    note =
        fmt::format("runs [{}] to [{}] are left out: too many columns\n", shown + 1, runs.size());
  return table.str() + note;
}

}  // namespace ek
