#include <algorithm>
#include <numeric>

#include "data/longtail.h"
#include "kernels/base/error.h"
#include "methods/comparison/tables.h"
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

// What the class table shows for a class or, as means, for several, of some runs of one split.
struct ClassColumns {
  ClassColumns(const Comparison& comparison, std::span<const std::size_t> places)
      : numbered(comparison.runs.size() > 1), places(places) {
    for (const std::size_t i : places) runs.push_back(&comparison.runs[i]);
    for (std::size_t i = 0; i < runs.size(); ++i) {
      if (!runs[i]->class_weight.empty()) weighted.push_back(i);
    }
    has_difficulty = !runs[0]->difficulty.empty();
  }

  Row header() const {
    // Numbers are those of the comparison's rows; a lone run needs none.
    const auto of = [&](const char* what, std::size_t i) {
      return numbered ? fmt::format("{} [{}]", what, places[i] + 1) : std::string(what);
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
    const auto images = mean([&](std::size_t c) { return double(runs[0]->class_counts[c]); });
    out.push_back(plain(images, classes.size() > 1 ? 1 : 0));
    if (has_difficulty) {
      out.push_back(plain(mean([&](std::size_t c) { return runs[0]->difficulty[c]; }), 2));
    }
    for (const RunResult* run : runs) {
      out.push_back(percent(mean([&](std::size_t c) -> std::optional<double> {
        if (!run->last.is_object() || !run->last.contains("per_class_recall")) return std::nullopt;
        const json& recall = run->last.at("per_class_recall")[c];
        if (recall.is_null()) return std::nullopt;
        return recall.get<double>();
      })));
    }
    for (std::size_t i : weighted) {
      out.push_back(plain(mean([&](std::size_t c) { return runs[i]->class_weight[c]; }), 3));
    }
    return out;
  }

  bool numbered = false;
  std::span<const std::size_t> places;  // in the comparison
  std::vector<const RunResult*> runs;
  std::vector<std::size_t> weighted;  // of `runs`, those with class weights
  bool has_difficulty = false;
};

void add_groups(const ClassColumns& columns, TextTable& table) {
  const RunResult& first = *columns.runs[0];
  const auto groups = class_groups(first.class_counts, first.many_above, first.few_below);
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
  const auto& weight = columns.runs[columns.weighted[0]]->class_weight;
  std::vector<std::size_t> order(weight.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order,
                           [&](std::size_t a, std::size_t b) { return weight[a] > weight[b]; });
  const auto add = [&](std::size_t begin) {
    table.add_rule();
    for (std::size_t k = begin; k < begin + extremes; ++k) {
      table.add(columns.row(columns.runs[0]->class_names[order[k]], {order[k]}));
    }
  };
  add(0);
  add(order.size() - extremes);
}

}  // namespace

std::string class_table(const Comparison& comparison, const Comparison::Indices& split) {
  const auto has_figures = [&](std::size_t i) {
    return !comparison.runs[i].class_weight.empty() || !comparison.runs[i].difficulty.empty();
  };
  if (std::ranges::none_of(split, has_figures)) return "";
  const auto table_of = [&](std::size_t shown) {
    const ClassColumns columns(comparison, std::span(split).first(shown));
    TextTable table(columns.header());
    const RunResult& first = *columns.runs[0];
    const std::size_t classes = first.class_counts.size();
    if (classes <= all_classes_up_to) {
      for (std::size_t c = 0; c < classes; ++c) {
        table.add(columns.row(first.class_names[c], {c}));
      }
    } else {
      add_groups(columns, table);
      add_extremes(columns, table);
    }
    return table;
  };
  // As many runs as fit on a terminal; the text says so when some are left out.
  std::size_t shown = split.size();
  TextTable table = table_of(shown);
  while (shown > 1 && table.width() > terminal_width) table = table_of(--shown);
  if (shown == split.size()) return table.str();
  std::vector<std::string> left_out;
  for (const std::size_t i : std::span(split).subspan(shown)) {
    left_out.push_back(fmt::format("[{}]", i + 1));
  }
  return table.str() + fmt::format("left out, too many columns: {}\n", fmt::join(left_out, " "));
}

}  // namespace ek
