#include "apps/train/stored_run.h"

#include "engine/io/text.h"
#include "engine/tuning/tuning.h"
#include "kernels/base/error.h"
#include "methods/training/run_folder.h"

namespace ek {

Recipe StoredRun::recipe_with(const std::vector<std::string>& sets) const {
  return Recipe::resolve(recipe, source, sets);
}

StoredRun stored_run(const std::string& folder) {
  const nlohmann::json config = RunFolder::stored_config(folder);
  const auto text = [&](const char* key) {
    const auto found = config.find(key);
    return found != config.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  InputPaths inputs;
  const nlohmann::json stored = config.value("inputs", nlohmann::json::object());
  for (const auto& [name, run] : stored.items()) {
    inputs.emplace_back(name, unescaped_bytes(run.value("run", "")));
  }
  return {.recipe = config.at("recipe").dump(),
          .source = (std::filesystem::path(folder) / "config.json").string(),
          .data = unescaped_bytes(text("data")),
          .precision = text("precision"),
          .device = text("device"),
          .inputs = std::move(inputs)};
}

Device device_of(const StoredRun& run, const std::string& folder) {
  if (run.device.empty()) return {};
  try {
    const Device device = parse_device(run.device);
    use_committed_tuning(device);
    return device;
  } catch (const Error& error) {
    fail("--resume: the run in {} was begun on {}: {}; --device goes on with it elsewhere", folder,
         run.device, error.what());
  }
}

}  // namespace ek
