#include "methods/recipes/recipe.h"

#include <filesystem>
#include <fstream>
#include <set>

#include "methods/losses/loss.h"
#include "methods/method.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"

using ek::Recipe;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

using Sets = std::vector<std::string>;

std::string resolve_error(const std::string& text, const Sets& sets = {}) {
  return error_of([&] { Recipe::resolve(text, "lab/try", sets); });
}

std::string set_error(const std::string& set) {
  return resolve_error("{}", {set});
}

const fs::path recipe_folder = fs::path(source_dir()) / "apps" / "recipes";

std::vector<fs::path> recipe_files() {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(recipe_folder)) {
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  }
  return files;
}

Recipe builtin(const std::string& name, const Sets& sets = {}) {
  std::ifstream stream(recipe_folder / (name + ".json"));
  REQUIRE(stream.good());
  return Recipe::resolve({std::istreambuf_iterator<char>(stream), {}}, name, sets);
}

}  // namespace

TEST_CASE("recipes: an empty one is made of the defaults, all of them") {
  const Recipe recipe = Recipe::resolve("{}", "lab/try");
  REQUIRE(recipe.name() == "lab/try");
  std::size_t leaves = 0;
  for (const ek::KeySpec& key : ek::recipe_keys("supervised", "cross-entropy")) {
    REQUIRE(recipe.at(key.path) == key.fallback);
    REQUIRE(!key.doc.empty());
    REQUIRE(key.doc.find('\n') == std::string::npos);
    ++leaves;
  }
  std::size_t found = 0;
  for (const auto& [name, value] : recipe.json().items())
    found += value.is_object() ? value.size() : 1;
  REQUIRE(found == leaves);
}

TEST_CASE("recipes: the default of every key of every method and loss is itself allowed") {
  for (const auto& method : ek::method_registry()) {
    for (const auto& loss : ek::loss_registry()) {
      const json names = {{"method", {{"name", method.name}}}, {"loss", {{"name", loss.name}}}};
      const Recipe recipe = Recipe::resolve(names.dump(), "test");
      const Recipe again = Recipe::resolve(recipe.json().dump(), "test");
      REQUIRE(again.json() == recipe.json());
      std::set<std::string> paths;
      for (const auto& key : ek::recipe_keys(method.name, loss.name)) {
        INFO(key.path);
        REQUIRE(paths.insert(key.path).second);
        if (!key.path.ends_with(".name")) REQUIRE(recipe.at(key.path) == key.fallback);
        if (!key.choices.empty()) REQUIRE(key.fallback.is_string());
      }
    }
  }
}

TEST_CASE("recipes: an override beats the file, the file a preset, a preset the default") {
  const std::string file = R"({"method": {"name": "difficulty-net"}, "meta_optim": {"eps": 1e-7}})";
  const Recipe paper = Recipe::resolve(file, "test");
  REQUIRE(paper.number("meta_optim.lr") == 1e-3);
  REQUIRE(paper.integer("data.meta_per_class") == 10);
  REQUIRE(paper.text("method.estimator") == "forward");
  REQUIRE(paper.flag("method.bias"));

  const Recipe published = Recipe::resolve(file, "test", {"method.preset=published"});
  REQUIRE(published.number("meta_optim.lr") == 1e-5);
  REQUIRE(published.number("meta_optim.eps") == 1e-7);
  REQUIRE(published.integer("data.meta_per_class") == 25);
  REQUIRE(published.text("method.estimator") == "detached");
  REQUIRE(!published.flag("method.bias"));
  REQUIRE(Recipe::resolve(published.json().dump(), "test").json() == published.json());

  const std::string explicit_file =
      R"({"method": {"name": "difficulty-net", "preset": "published", "bias": true}})";
  const Recipe both = Recipe::resolve(explicit_file, "test", {"data.meta_per_class=7"});
  REQUIRE(both.flag("method.bias"));
  REQUIRE(both.integer("data.meta_per_class") == 7);
  REQUIRE(
      Recipe::resolve(explicit_file, "test", {"method.preset=paper"}).text("method.estimator") ==
      "forward");
  REQUIRE(resolve_error("{}", {"method.preset=published"}) ==
          "recipe lab/try: 'method.preset' expected paper, came published, which method supervised "
          "does not have");
}

TEST_CASE("recipes: overrides are JSON or plain text, the last one counts") {
  const Recipe recipe = Recipe::resolve(
      "{}", "test",
      {"optim.lr=0.5", "optim.lr=1", "doc=12", "loss.name=logit-adjusted", "loss.tau=2",
       "schedule.milestones=[10, 20]", R"(data={"imbalance": 50, "subset": "first"})", "seed=1e3",
       "batch_size=null", R"(optim.groups=[{"names": ["*.bias"], "weight_decay": 0}])"});
  REQUIRE(recipe.number("optim.lr") == 1);
  REQUIRE(recipe.at("optim.lr").is_number_float());
  REQUIRE(recipe.text("doc") == "12");
  REQUIRE(recipe.number("loss.tau") == 2);
  REQUIRE(recipe.number("data.imbalance") == 50);
  REQUIRE(recipe.text("data.subset") == "first");
  REQUIRE(recipe.integer("seed") == 1000);
  REQUIRE(recipe.integer("batch_size") == 128);
  REQUIRE(recipe.schedule().milestones == std::vector<std::int64_t>{10, 20});
  const auto groups = recipe.groups();
  REQUIRE(groups.size() == 1);
  REQUIRE(groups[0].names == std::vector<std::string>{"*.bias"});
  REQUIRE(groups[0].weight_decay.value() == 0);
  REQUIRE(groups[0].lr_factor == 1);
  REQUIRE(!groups[0].frozen);
}

TEST_CASE("recipes: an unknown key is answered with the nearest one") {
  auto unknown = [](const std::string& key, const std::string& nearest) {
    const std::string tail = nearest.empty() ? "" : ", did you mean '" + nearest + "'?";
    REQUIRE(set_error(key + "=1") == "recipe lab/try: unknown key '" + key + "'" + tail);
  };
  unknown("optim.leraning_rate", "optim.lr");
  unknown("optim.weigth_decay", "optim.weight_decay");
  unknown("meta_optim.learning_rate", "meta_optim.lr");
  unknown("optm.lr", "optim.lr");
  unknown("imbalance", "data.imbalance");
  unknown("data.imbalence", "data.imbalance");
  unknown("schedule.epochs", "schedule.length");
  unknown("batchsize", "batch_size");
  unknown("backbone", "model.name");
  unknown("optim.zz", "");
  unknown("quite.something.else", "");
  REQUIRE(resolve_error(R"({"optim": {"leraning_rate": 0.1}})") ==
          "recipe lab/try: unknown key 'optim.leraning_rate', did you mean 'optim.lr'?");
  REQUIRE(resolve_error(R"({"wat": {"is": {"this": 1}}})") ==
          "recipe lab/try: unknown key 'wat.is'");
  REQUIRE(
      set_error("loss.tau=1") ==
      "recipe lab/try: 'loss.tau' is a key of loss logit-adjusted, which this recipe does not use");
  REQUIRE(
      set_error("method.lambda=1") ==
      "recipe lab/try: 'method.lambda' is a key of method difficulty-net, which this recipe does "
      "not use");
}

TEST_CASE("recipes: a value that does not fit says what would") {
  auto wrong = [](const std::string& set, const std::string& message) {
    REQUIRE(set_error(set) == "recipe lab/try: " + message);
  };
  wrong("optim.lr=fast", "'optim.lr' expected a number of 0 or more, came \"fast\"");
  wrong("optim.lr=-1", "'optim.lr' expected a number of 0 or more, came -1");
  wrong("optim.momentum=1.5",
        "'optim.momentum' expected a number of 0 or more and below 1, came 1.5");
  wrong("optim.momentum=1", "'optim.momentum' expected a number of 0 or more and below 1, came 1");
  wrong("meta_optim.beta1=1",
        "'meta_optim.beta1' expected a number of 0 or more and below 1, came 1");
  wrong("meta_optim.eps=0", "'meta_optim.eps' expected a number above 0, came 0");
  wrong("log.every=18446744073709551615",
        "'log.every' expected an integer of 1 or more, came 18446744073709551615");
  wrong("batch_size=2.5", "'batch_size' expected an integer of 1 or more, came 2.5");
  wrong("batch_size=0", "'batch_size' expected an integer of 1 or more, came 0");
  wrong("schedule.length=1e30", "'schedule.length' expected an integer of 1 or more, came 1e+30");
  wrong("optim.nesterov=1", "'optim.nesterov' expected true or false, came 1");
  wrong(
      "optim=3",
      "'optim' expected an object with any of name, lr, momentum, nesterov, weight_decay, groups");
  wrong("schedule.kind=multistp",
        "'schedule.kind' expected one of constant, multistep, cosine, came \"multistp\", did you "
        "mean "
        "'multistep'?");
  wrong("loss.name=5",
        "'loss.name' expected one of cross-entropy, class-weighted, balanced-softmax, "
        "logit-adjusted, dive, came \"5\"");
  wrong("schedule.milestones=5", "'schedule.milestones' expected a list of integers, came 5");
  wrong("schedule.milestones=[5, \"x\"]",
        "'schedule.milestones[1]' expected an integer of 1 or more, came \"x\"");
  wrong("optim.groups=[{\"name\": [\"a\"]}]",
        "unknown key 'optim.groups[0].name', did you mean 'names'?");
  wrong("optim.groups=[{\"lr_factor\": 2}]",
        "'optim.groups[0].names' expected a list of parameter names, came [\"\"]");
  wrong("optim.groups=[{\"names\": [\"a\"], \"weight_decay\": true}]",
        "'optim.groups[0].weight_decay' expected a number or null, came true");
  wrong("data.subset_seed=4294967296",
        "'data.subset_seed' expected an integer from 0 to 4294967295, came 4294967296");
  wrong("eval.groups=[20, 100]",
        "'eval.groups' expected two integers, the first not below the second, came [20,100]");
  wrong("schedule.milestones=[5, 5]", "schedule.milestones: 5 after 5, expected rising");
  wrong("data.augment=cifar-aa",
        "augment: pipeline cifar-aa is not in this version; it has cifar-basic, cifar-reflect, "
        "cifar-cdb, cifar-dn-plain, eval");
  wrong("optim.lr", "--set expected key.path=value, came 'optim.lr'");
  wrong("=3", "--set expected key.path=value, came '=3'");
  wrong("doc=\xff\xfe", "'doc' expected UTF-8 text, came \"\\ufffd\\ufffd\"");
  REQUIRE(resolve_error("{}", {"method.name=difficulty-net", "data.meta_per_class=0"}) ==
          "recipe lab/try: 'data.meta_per_class' expected an integer of 1 or more for method "
          "difficulty-net, came 0");
}

TEST_CASE("recipes: what is no proper JSON is refused in one line") {
  auto starts = [](const std::string& text, const std::string& start) {
    const std::string message = resolve_error(text);
    INFO(message);
    REQUIRE(message.starts_with("recipe lab/try: " + start));
    REQUIRE(message.size() < 260);
    for (char c : message) REQUIRE((c >= 0x20 && c < 0x7f));
  };
  starts("", "line 1, column 1: ");
  starts("{\n  \"seed\": 1,\n}", "line 3, column 1: ");
  starts("{\"seed\": 1} // note", "line 1, column 13: ");
  starts("{\"doc\": \"a\nb\"}", "line 2, column 0: ");
  starts("{\"doc\": \"\xff\"}", "line 1, column 10: ");
  starts("{\"seed\": " + std::string(5000, '1') + "x}", "");
  starts("{\"seed\": 1e999}", "number overflow");
  starts("[1, 2]", "expected a JSON object, came [1,2]");
  starts("{\"seed\": 1, \"seed\": 2}", "duplicate key 'seed'");
  starts("{\"optim\": {\"lr\": 1, \"lr\": 2}}", "duplicate key 'lr'");
  starts("{\"a\\u0007\\u001b[31m\": 1}", "unknown key 'a\\u0007\\u001b[31m'");
  starts("{\"optim.lr\": 1}", "key 'optim.lr' has a dot; expected an object inside an object");
  starts("{\"doc\": " + std::string(100000, '[') + std::string(100000, ']') + "}",
         "nested deeper than the 16 levels that a recipe may have");
  starts(std::string(2 << 20, ' '), "expected at most 1048576 bytes, came 2097152");
}

TEST_CASE("recipes: reading a key that is not there is an Error with the nearest one") {
  const Recipe recipe = Recipe::resolve("{}", "lab/try");
  REQUIRE(error_of([&] { recipe.number("optim.lt"); }) ==
          "recipe lab/try: key 'optim.lt' is not declared, did you mean 'optim.lr'?");
  REQUIRE(contains(error_of([&] { recipe.flag("optim.lr"); }), "read as true or false, it is 0.1"));
}

TEST_CASE("recipes: every built-in one resolves, and again from its own output") {
  const auto files = recipe_files();
  REQUIRE(files.size() >= 6);
  for (const fs::path& file : files) {
    const std::string name = fs::relative(file, recipe_folder).replace_extension().generic_string();
    INFO(name);
    const Recipe recipe = builtin(name);
    REQUIRE(!recipe.text("doc").empty());
    REQUIRE(Recipe::resolve(recipe.json().dump(), name).json() == recipe.json());
    const std::string text = ek::describe(recipe);
    for (const auto& key : ek::recipe_keys(recipe.text("method.name"), recipe.text("loss.name"))) {
      if (key.path != "doc") REQUIRE(contains(text, "\n" + key.path + " "));
      REQUIRE(contains(text, key.path == "doc" ? recipe.text("doc") : key.doc));
    }
  }
}

TEST_CASE("recipes: CIFAR-100-LT follows the paper") {
  for (const char* name : {"ce", "balanced-softmax", "difficulty-net", "difficulty-net-balanced"}) {
    INFO(name);
    const Recipe recipe = builtin(std::string("cifar100-lt/") + name);
    const ek::SplitSpec split = recipe.split();
    REQUIRE(split.imbalance == 100);
    REQUIRE(split.n_max == 0);  // CIFAR-100's 500 less meta_per_class: 490
    REQUIRE(split.meta_per_class == 10);
    REQUIRE(split.subset == "ldam");
    const ek::ScheduleSpec schedule = recipe.schedule();
    // Spec data-protocol 6.2, to the rounding of the products.
    const std::pair<std::int64_t, double> rates[] = {
        {0, 0.1},    {1, 0.10025}, {200, 0.15},  {399, 0.19975}, {400, 0.2},
        {6399, 0.2}, {6400, 0.02}, {9599, 0.02}, {9600, 0.002},  {12799, 0.002}};
    for (const auto& [t, rate] : rates) {
      REQUIRE(std::abs(ek::learning_rate(schedule, t) - rate) <= 1e-15);
    }
    REQUIRE(ek::total_steps(schedule, 84) == 12800);
    REQUIRE(recipe.optimizer().momentum == 0.9);
    REQUIRE(!recipe.optimizer().nesterov);
    REQUIRE(recipe.number("optim.weight_decay") == 1e-4);
    REQUIRE(recipe.text("model.name") == "resnet32");
    REQUIRE(recipe.text("data.augment") == "cifar-dn-plain");
  }
  const Recipe net = builtin("cifar100-lt/difficulty-net");
  REQUIRE(net.text("method.estimator") == "forward");
  REQUIRE(net.number("method.lambda") == 0.3);
  REQUIRE(net.integer("method.meta_batch") == 100);
  REQUIRE(net.flag("method.bias"));
  REQUIRE(net.text("method.driver_target") == "one_minus_share");
  REQUIRE(net.text("method.accuracy_refresh") == "epoch");
  REQUIRE(net.number("meta_optim.lr") == 1e-3);
  REQUIRE(net.number("meta_optim.weight_decay") == 1e-4);
  REQUIRE(net.meta_optimizer().beta2 == 0.999);
  const Recipe published = builtin("cifar100-lt/difficulty-net", {"method.preset=published"});
  REQUIRE(published.integer("data.meta_per_class") == 25);
}
