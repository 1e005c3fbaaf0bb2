#include "apps/eval/command.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <numeric>

#include "apps/common/load_data.h"
#include "apps/common/status_line.h"
#include "apps/eval/report.h"
#include "engine/io/strict_json.h"
#include "kernels/base/error.h"
#include "methods/comparison/tables.h"
#include "methods/evaluation/ensemble.h"
#include "methods/evaluation/prior_correction.h"

namespace ek {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

// The images to evaluate on, and which of them.
struct EvalSet {
  const ImageSet* images = nullptr;
  std::vector<std::int64_t> records;
};

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}
void print(const json& value) {
  print(value.dump(2, ' ', false, json::error_handler_t::replace) + "\n");
}

// Images done on stderr: redrawn on a terminal, a line every few seconds elsewhere.
std::function<void(std::int64_t, std::int64_t)> progress_of(const std::string& file) {
  const auto line = std::make_shared<StatusLine>();
  line->is_due();  // the first one comes when there is a rate
  return [file, line, start = Clock::now()](std::int64_t done, std::int64_t total) {
    if (done == total) return line->clear();
    if (!line->is_due()) return;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const double rate = double(done) / std::max(seconds, 1e-9);
    line->show({{file + ":", 3},
                {fmt::format("{}/{} images", done, total), 0},
                {fmt::format("{:.0f}/s", rate), 2},
                {"left " + duration(double(total - done) / rate), 1}});
  };
}

// Error unless the checkpoints may stand in one table: one split.
void require_comparable(const std::vector<EvalCheckpoint>& checkpoints, bool other_data) {
  const EvalCheckpoint& first = checkpoints[0];
  for (const EvalCheckpoint& other : checkpoints) {
    if (first.manifest() && other.manifest()) {
      if (!other_data) {
        require_same_data(first.manifest()->data, first.file(), other.manifest()->data,
                          other.file(), "one after the other");
      }
      require_same_split(*first.manifest(), first.file(), *other.manifest(), other.file());
    }
  }
}

EvalSet choose_set(const std::string& split, const DataSource& source,
                   const std::vector<EvalCheckpoint>& checkpoints) {
  if (split == "test") {
    std::vector<std::int64_t> all(std::size_t(source.test.count()));
    std::iota(all.begin(), all.end(), 0);
    return {&source.test, std::move(all)};
  }
  Split cut;
  for (const EvalCheckpoint& checkpoint : checkpoints) cut = checkpoint.split_of(source);
  if (split == "train") return {&source.train, cut.train_index};
  require(!cut.meta_index.empty(),
          "--split {}: the recipe holds nothing out (data.meta_per_class 0)", split);
  return {&source.train, cut.meta_index};
}

// A model's predictions over the whole set, and how much of the training prior its logits carry
// (known where a correction is asked for).
struct Member {
  Predictions predictions;
  double absorbed = 0;
};
using Members = std::vector<const Member*>;

// Everything that the figures of a set of rows follow from.
struct Scoring {
  std::vector<std::int64_t> class_counts;  // of training; empty where they are not known
  bool prior_correction = false;
  std::vector<ShiftSpec> shifts;
  EvaluationOptions options;
};

// Members as one, over the given rows: a lone model as it is, several as the mean of their
// probabilities. With `target` counts every member's logits are corrected first.
Predictions joined(const Members& members, std::span<const std::int64_t> rows,
                   const std::vector<std::int64_t>* target, const Scoring& scoring) {
  std::vector<Predictions> parts;
  for (const Member* member : members) {
    Predictions part = select_rows(member->predictions, rows);
    if (target) part = correct_prior(part, member->absorbed, scoring.class_counts, *target);
    parts.push_back(std::move(part));
  }
  return parts.size() == 1 ? std::move(parts[0]) : ensemble(parts);
}

EvalFigures figures_of(const Members& members, const Scoring& scoring) {
  const Predictions& whole = members[0]->predictions;
  const std::vector<std::int64_t> target = count_labels(whole.labels, whole.num_classes);
  std::vector<std::int64_t> rows(whole.labels.size());
  std::iota(rows.begin(), rows.end(), 0);

  EvalFigures out;
  const auto metrics = [&](const std::vector<std::int64_t>* prior) {
    return compute_metrics(joined(members, rows, prior, scoring), scoring.class_counts,
                           scoring.options);
  };
  out.metrics = metrics(nullptr);
  if (scoring.prior_correction) out.corrected = metrics(&target);
  for (const ShiftSpec& spec : scoring.shifts) {
    const ShiftedSet set = shifted_set(whole.labels, scoring.class_counts, spec);
    ShiftResult result{spec, std::int64_t(set.rows.size()), 0, std::nullopt};
    result.plain = top1(joined(members, set.rows, nullptr, scoring));
    if (scoring.prior_correction) {
      result.corrected = top1(joined(members, set.rows, &set.kept, scoring));
    }
    out.shifts.push_back(result);
  }
  return out;
}

Scoring scoring_of(const EvalOptions& options, const std::vector<EvalCheckpoint>& checkpoints) {
  Scoring out;
  for (const EvalCheckpoint& checkpoint : checkpoints) {
    if (checkpoint.manifest()) out.class_counts = checkpoint.class_counts();
    if (options.prior_correction) {
      require(checkpoint.recipe() && checkpoint.manifest(),
              "{}: --prior-correction needs a checkpoint with its recipe and manifest",
              checkpoint.file());
    }
  }
  out.prior_correction = options.prior_correction;
  for (const std::string& text : options.shifts) {
    const auto specs = text == "all" ? standard_shifts() : std::vector{parse_shift(text)};
    out.shifts.insert(out.shifts.end(), specs.begin(), specs.end());
  }
  require(out.shifts.empty() || !out.class_counts.empty(),
          "--shift: ranks classes by training count, which no checkpoint here knows");
  const auto& recipe = checkpoints[0].recipe();
  out.options.bins =
      options.bins > 0 ? options.bins : int(recipe ? recipe->integer("eval.bins") : 15);
  return out;
}

json about(const EvalCheckpoint& checkpoint) {
  json out{{"file", checkpoint.file()},
           {"model", checkpoint.model().name()},
           {"method", nullptr},
           {"loss", nullptr},
           {"step", nullptr}};
  if (checkpoint.recipe()) {
    out["method"] = checkpoint.recipe()->text("method.name");
    out["loss"] = checkpoint.recipe()->text("loss.name");
  }
  if (const auto step = checkpoint.step()) out["step"] = *step;
  return out;
}

// Writes what the figures can be rebuilt from: per model `name` (of several: `name`.0, `name`.1,
// ...) [N, width], labels and records [N], and the training counts where they are known.
void write_rows(const std::string& path, const char* name, std::vector<Tensor> per_model,
                const EvalSet& set, const EvalReport& report, const Scoring& scoring) {
  std::vector<NamedTensor> tensors;
  for (std::size_t i = 0; i < per_model.size(); ++i) {
    tensors.emplace_back(per_model.size() == 1 ? name : fmt::format("{}.{}", name, i),
                         per_model[i]);
  }
  std::vector<std::int64_t> labels;
  for (std::int64_t record : set.records) {
    labels.push_back(set.images->labels[std::size_t(record)]);
  }
  const Shape rows{std::int64_t(labels.size())};
  tensors.emplace_back("labels", Tensor::from(labels, rows));
  tensors.emplace_back("records", Tensor::from(set.records, rows));
  if (!scoring.class_counts.empty()) {
    tensors.emplace_back("class_counts", Tensor::from(scoring.class_counts,
                                                      {std::int64_t(scoring.class_counts.size())}));
  }
  write_safetensors(path, tensors,
                    {{"format", "pt"},
                     {"data", report.data},
                     {"split", report.split},
                     {"split_hash", report.split_hash}});
}

void compare_runs(const EvalOptions& options) {
  std::vector<RunResult> runs;
  for (const std::string& folder : options.compare) runs.push_back(read_run(folder));
  const Comparison comparison = compare(std::move(runs));
  if (options.json) return print(to_json(comparison));
  print(comparison_table(comparison));
  if (const std::string table = split_table(comparison); !table.empty()) print("\n" + table);
  for (const Comparison::Indices& split : comparison.splits) {
    const std::string table = class_table(comparison, split);
    if (!table.empty()) print("\n" + table);
  }
}

void evaluate_checkpoints(const EvalOptions& options, const CommonOptions& common) {
  std::vector<EvalCheckpoint> checkpoints;
  for (const std::string& file : options.checkpoints) {
    checkpoints.emplace_back(file, options.foreign, common.device);
  }
  require_comparable(checkpoints, options.other_data);
  const Scoring scoring = scoring_of(options, checkpoints);
  const DataSource source = load_data(options.data, common.seed.value_or(0));
  for (const EvalCheckpoint& checkpoint : checkpoints) {
    if (options.other_data || !checkpoint.manifest()) continue;
    require_same_data(checkpoint.manifest()->data, checkpoint.file(), identity_of(source),
                      "--data " + options.data, "--allow-other-data");
  }
  const EvalSet set = choose_set(options.split, source, checkpoints);

  EvalReport report;
  report.data = source.name;
  report.split = options.split;
  report.bins = scoring.options.bins;
  report.class_names = source.class_names;
  std::vector<Member> members;
  std::vector<Tensor> logits, features;
  for (const EvalCheckpoint& checkpoint : checkpoints) {
    if (checkpoint.manifest()) report.split_hash = checkpoint.manifest()->hash;
    PredictOptions predict_options{.chunk = default_chunk(common.device)};
    predict_options.progress = progress_of(checkpoint.file());
    auto [predictions, width, values] = checkpoint.run(
        source, *set.images, set.records, !options.features_out.empty(), predict_options);
    const auto as_tensor = [&](const std::vector<double>& all, std::int64_t columns) {
      return Tensor::from(all, {std::int64_t(set.records.size()), columns})
          .to(master_dtype(checkpoint.precision()));
    };
    if (!options.logits_out.empty()) {
      logits.push_back(as_tensor(predictions.logits, predictions.num_classes));
    }
    if (!options.features_out.empty()) features.push_back(as_tensor(values, width));
    members.push_back({std::move(predictions), 0});
    if (scoring.prior_correction) {
      members.back().absorbed = absorbed_prior(*checkpoint.recipe());
    }
  }

  Members all;
  for (std::size_t i = 0; i < members.size(); ++i) {
    all.push_back(&members[i]);
    report.checkpoints.push_back(figures_of({&members[i]}, scoring));
    report.checkpoints[i].title = checkpoints[i].title();
    report.checkpoints[i].about = about(checkpoints[i]);
  }
  if (all.size() > 1) report.ensemble = figures_of(all, scoring);
  if (!logits.empty()) write_rows(options.logits_out, "logits", logits, set, report, scoring);
  if (!features.empty()) {
    write_rows(options.features_out, "features", features, set, report, scoring);
  }
  options.json ? print(to_json(report)) : print(to_text(report));
}

// Whether two paths of files to be written mean one file, be they there or not.
bool same_place(const std::string& a, const std::string& b) {
  std::error_code ignored;
  const auto place = [&](const std::string& path) {
    return std::filesystem::weakly_canonical(std::filesystem::absolute(path), ignored);
  };
  return place(a) == place(b) || std::filesystem::equivalent(a, b, ignored);
}

}  // namespace

void evaluate(const EvalOptions& options, const CommonOptions& common) {
  require(options.checkpoints.empty() != options.compare.empty(),
          "expected either --checkpoint FILE... or --compare RUN_DIR...");
  if (!options.compare.empty()) return compare_runs(options);
  require(!options.data.empty(), "--checkpoint: expected --data DIR beside it");
  const bool both = !options.logits_out.empty() && !options.features_out.empty();
  require(!both || !same_place(options.logits_out, options.features_out),
          "--logits-out, --features-out: expected two files, came {} for both",
          printable(options.logits_out));
  evaluate_checkpoints(options, common);
}

}  // namespace ek
