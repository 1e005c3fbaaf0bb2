#include "methods/comparison/comparison.h"

#include <algorithm>
#include <filesystem>

#include "kernels/base/error.h"

namespace ek {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;
using Indices = Comparison::Indices;

// As given but absolute, without "." and "..", and without a slash at the end.
fs::path full_path(const std::string& folder) {
  const fs::path path = fs::absolute(folder).lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

bool same_folder(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return fs::equivalent(a, b, ignored);
}

// Each below the deepest folder that holds all of them.
std::vector<std::string> names_of(const std::vector<RunResult>& runs) {
  fs::path common = full_path(runs[0].folder).parent_path();
  const auto below = [&](const fs::path& path) {
    const fs::path relative = path.lexically_relative(common);
    return !relative.empty() && *relative.begin() != ".." && relative != ".";
  };
  for (const RunResult& run : runs) {
    while (!below(full_path(run.folder)) && common.has_relative_path()) {
      common = common.parent_path();
    }
  }
  std::vector<std::string> names;
  for (const RunResult& run : runs) {
    names.push_back(full_path(run.folder).lexically_relative(common).string());
  }
  return names;
}

void require_same_data(const RunResult& a, const RunResult& b) {
  const std::size_t classes_a = a.class_names.size(), classes_b = b.class_names.size();
  require(a.format == b.format && classes_a == classes_b,
          "compare: {} is of other data ({}, {} classes) than {} ({}, {} classes)", b.folder,
          b.format, classes_b, a.folder, a.format, classes_a);
  const auto [name_a, name_b] = std::ranges::mismatch(a.class_names, b.class_names);
  require(name_a == a.class_names.end(),
          "compare: {} is of other data than {}: class {} is {} there, {} here", b.folder, a.folder,
          name_a - a.class_names.begin(), name_a == a.class_names.end() ? "" : *name_a,
          name_b == b.class_names.end() ? "" : *name_b);
  // Manifests of earlier versions have no image size.
  require(a.data.height == 0 || b.data.height == 0 ||
              (a.data.height == b.data.height && a.data.width == b.data.width &&
               a.data.channels == b.data.channels),
          "compare: {} is of other data than {}: images of {} x {} with {} channels here, {} x {} "
          "with {} there",
          b.folder, a.folder, b.data.width, b.data.height, b.data.channels, a.data.width,
          a.data.height, a.data.channels);
  require(a.test_images == b.test_images,
          "compare: {} is of other data than {}: {} test images here, {} there", b.folder, a.folder,
          b.test_images, a.test_images);
}

bool same_split(const RunResult& a, const RunResult& b) {
  return a.split_hash == b.split_hash && a.class_counts == b.class_counts;
}

// Groups by `same`, in order of appearance, the runs of `from`.
template <class Same>
std::vector<Indices> grouped(const Indices& from, Same&& same) {
  std::vector<Indices> groups;
  for (const std::size_t i : from) {
    const auto found =
        std::ranges::find_if(groups, [&](const Indices& group) { return same(group[0], i); });
    found == groups.end() ? groups.push_back({i}) : found->push_back(i);
  }
  return groups;
}

// Of runs that are equal but for the seed, those that count; the others get a note.
Indices distinct(const Indices& equal, const std::vector<RunResult>& runs,
                 std::vector<std::string>& notes) {
  Indices counted;
  for (const std::size_t i : equal) {
    if (!runs[i].finished) {
      notes[i] = fmt::format("unfinished, at step {} of {}", runs[i].step, runs[i].steps);
      continue;
    }
    const auto same = std::ranges::find_if(
        counted, [&](std::size_t k) { return runs[k].settings.seed == runs[i].settings.seed; });
    if (same == counted.end()) {
      counted.push_back(i);
      continue;
    }
    const RunResult& first = runs[*same];
    const char* what = same_folder(runs[i].folder, first.folder) ? "the folder of"
                       : runs[i].last == first.last              ? "the run of"
                                                                 : "again the seed of";
    notes[i] = fmt::format("{} [{}]", what, *same + 1);
  }
  return counted;
}

}  // namespace

Comparison compare(std::vector<RunResult> runs) {
  require(!runs.empty(), "compare: expected at least 1 run, got none");
  for (const RunResult& run : runs) require_same_data(runs[0], run);
  Comparison out;
  out.runs = std::move(runs);
  out.names = names_of(out.runs);
  out.notes.resize(out.runs.size());
  Indices all;
  for (std::size_t i = 0; i < out.runs.size(); ++i) {
    all.push_back(i);
    out.differs.push_back(differences(out.runs[0].settings, out.runs[i].settings));
  }
  out.splits = grouped(
      all, [&](std::size_t a, std::size_t b) { return same_split(out.runs[a], out.runs[b]); });
  for (const Indices& split : out.splits) {
    for (const Indices& equal : grouped(split, [&](std::size_t a, std::size_t b) {
           return same_but_for_seed(out.runs[a].settings, out.runs[b].settings);
         })) {
      Indices counted = distinct(equal, out.runs, out.notes);
      if (counted.size() > 1) out.repeated.push_back(std::move(counted));
    }
  }
  return out;
}

double imbalance_of(const RunResult& run) {
  return run.split.profile == "none" ? imbalance_of(run.class_counts) : run.split.imbalance;
}

std::string describe_split(const RunResult& run) {
  const bool cut = run.split.profile != "none";
  std::string text = fmt::format("{}, imbalance {:.4g}", cut ? run.split.profile : "all images",
                                 imbalance_of(run));
  if (run.split.meta_per_class > 0) {
    text += fmt::format(", {} held out per class", run.split.meta_per_class);
  }
  return text;
}

std::vector<std::optional<double>> figures_of(const RunResult& run) {
  const auto figure = [](const json& entry, const char* key) -> std::optional<double> {
    if (!entry.is_object() || !entry.contains(key) || entry.at(key).is_null()) return std::nullopt;
    return entry.at(key).get<double>();
  };
  return {figure(run.last, "overall"),
          figure(run.last, "many"),
          figure(run.last, "medium"),
          figure(run.last, "few"),
          figure(run.best_by_validation, "overall"),
          figure(run.best_on_test, "overall")};
}

json to_json(const Comparison& c) {
  json out{{"runs", json::array()}, {"splits", json::array()}, {"repeated", json::array()}};
  for (std::size_t i = 0; i < c.runs.size(); ++i) {
    const RunResult& run = c.runs[i];
    json entry{{"name", c.names[i]},
               {"folder", run.folder},
               {"recipe", run.recipe},
               {"differs", c.differs[i]},
               {"seed", run.settings.seed},
               {"split_hash", run.split_hash},
               {"step", run.step},
               {"steps", run.steps},
               {"finished", run.finished},
               {"note", c.notes[i]},
               {"last", run.last},
               {"best_by_validation", run.best_by_validation},
               {"best_on_test", run.best_on_test}};
    if (!run.class_weight.empty()) entry["class_weight"] = run.class_weight;
    out["runs"].push_back(std::move(entry));
  }
  for (const Indices& split : c.splits) {
    const RunResult& run = c.runs[split[0]];
    out["splits"].push_back({{"split_hash", run.split_hash},
                             {"split", describe_split(run)},
                             {"class_counts", run.class_counts},
                             {"runs", split}});
  }
  for (const Indices& same : c.repeated) {
    std::vector<double> overall;
    json seeds = json::array();
    for (const std::size_t i : same) {
      overall.push_back(c.runs[i].last.at("overall").get<double>());
      seeds.push_back(c.runs[i].settings.seed);
    }
    const MeanStd stats = mean_std(overall);
    out["repeated"].push_back(
        {{"runs", same}, {"seeds", seeds}, {"mean", stats.mean}, {"std", *stats.std}});
  }
  return out;
}

}  // namespace ek
