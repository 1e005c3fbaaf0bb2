// tuning.json: what is written is read again, and nothing else is.
#include "engine/tuning/tuning.h"

#include "kernels/base/versions.h"
#include "tests/catch.h"
#include "tests/error_of.h"
#include "tests/paths.h"
#include "tests/simt_device.h"
#include "tests/temp_dir.h"

using namespace ek;

namespace {

TuningEntry product(std::int64_t m, int version) {
  return {.call = {"gemm",
                   kernels::CallType::float32,
                   kernels::FloatProducts::tf32,
                   {m, 100, 64, 0, 1}},
          .version = version,
          .origin = TuningEntry::Origin::measured,
          .median_us = {{0, 12.5}, {1, 3.25}, {2, 3.0004}}};
}

Tuning example() {
  TuningEntry pooled{.call = {"sum_to", kernels::CallType::float64, {}, {1, 7, 0}}, .version = 3};
  return {.architecture = "sm_90", .cuda = "13.0", .entries = {pooled, product(128, 1)}};
}

std::string replaced(std::string text, const std::string& what, const std::string& by) {
  const std::size_t at = text.find(what);
  REQUIRE(at != std::string::npos);
  return text.replace(at, what.size(), by);
}

}  // namespace

TEST_CASE("a table of kernel versions and its file") {
  const Tuning tuning = example();
  const std::string text = tuning.text();
  CHECK(text ==
        "{\n  \"format\": 1,\n  \"architecture\": \"sm_90\",\n  \"cuda\": \"13.0\",\n"
        "  \"entries\": [\n"
        "    {\"function\": \"gemm\", \"type\": \"float32\", \"products\": \"tf32\", "
        "\"sizes\": {\"m\": 128, \"n\": 100, \"k\": 64, \"transpose_a\": 0, \"transpose_b\": 1}, "
        "\"version\": \"tiled\", \"origin\": \"measured\", "
        "\"median_us\": {\"plain\": 12.500, \"tiled\": 3.250, \"mma\": 3.000}},\n"
        "    {\"function\": \"sum_to\", \"type\": \"float64\", \"products\": \"exact\", "
        "\"sizes\": {\"kept\": 1, \"summed\": 7, \"inner_stride\": 0}, "
        "\"version\": \"block\", \"origin\": \"given\"}\n"
        "  ]\n}\n");

  const Tuning read = parse_tuning(text, "here");
  CHECK(read.text() == text);
  CHECK(read.hash() == tuning.hash());
  REQUIRE(read.entries.size() == 2);
  CHECK(read.table().find(product(128, 1).call) == 1);
  CHECK(read.table().find(product(129, 1).call) == -1);

  // Order and white space do not matter, what is said does.
  Tuning turned = tuning;
  std::swap(turned.entries[0], turned.entries[1]);
  CHECK(turned.hash() == tuning.hash());
  CHECK(parse_tuning(replaced(text, "\"format\": 1,", "\"format\":1 ,\n"), "here").hash() ==
        tuning.hash());
  CHECK(
      parse_tuning(replaced(text, "\"tiled\", \"origin\"", "\"mma\", \"origin\""), "here").hash() !=
      tuning.hash());

  const TempDir dir;
  put_file(dir / "tuning.json", text);
  CHECK(read_tuning(dir / "tuning.json").hash() == tuning.hash());
  CHECK(contains(error_of([&] { read_tuning(dir / "none.json"); }), "none.json"));
  CHECK(parse_tuning(Tuning{.architecture = "simt", .cuda = "", .entries = {}}.text(), "here")
            .entries.empty());
}

TEST_CASE("what is no table of kernel versions is refused in one line") {
  const std::string text = example().text();
  const auto refusal = [](const std::string& wrong) {
    const std::string message = error_of([&] { parse_tuning(wrong, "t.json"); });
    CHECK(message.starts_with("t.json: "));
    CHECK(message.find('\n') == std::string::npos);
    return message;
  };
  const auto with = [&](const std::string& what, const std::string& by) {
    return refusal(replaced(text, what, by));
  };
  CHECK(refusal("") == "t.json: not a JSON file");
  CHECK(refusal(text.substr(0, text.size() / 2)) == "t.json: not a JSON file");
  CHECK(contains(refusal("[]"), "key 'format' is missing"));
  CHECK(contains(refusal(std::string(1000, '[')),
                 "nested deeper than the 6 levels that a table of kernel versions may have"));
  CHECK(contains(with("\"format\": 1", "\"format\": 2"), "format 2, this program reads 1"));
  CHECK(contains(with("\"cuda\": \"13.0\",", ""), "key 'cuda' is missing"));
  CHECK(contains(with("\"cuda\":", "\"cudo\":"), "unknown key \"cudo\", did you mean 'cuda'?"));
  CHECK(contains(with("\"cuda\":", "\"format\": 1, \"cuda\":"), "duplicate key 'format'"));
  CHECK(contains(with("sm_90", "sm 90"), "architecture: expected a word"));
  CHECK(contains(with("\"gemm\"", "\"gem\""),
                 "entry 1: unknown function \"gem\", did you mean 'gemm'?"));
  CHECK(contains(with("\"gemm\"", "\"fill\""), "entry 1: unknown function \"fill\""));
  CHECK(contains(with("float64", "float16"), "entry 2: unknown type \"float16\""));
  CHECK(contains(with("\"block\"", "\"blocks\""),
                 "entry 2: unknown version \"blocks\", did you mean 'block'?"));
  CHECK(contains(with("\"block\"", "7"), "entry 2: version: expected a name, got 7"));
  CHECK(contains(with("\"summed\": 7, ", ""), "entry 2: sizes: key 'summed' is missing"));
  CHECK(contains(with("\"summed\": 7", "\"summed\": -7"), "summed: expected a whole number"));
  CHECK(contains(with("\"given\"", "\"guessed\""), "unknown origin \"guessed\""));
  CHECK(contains(with("\"given\"", "\"measured\""), "entry 2: median_us: expected where"));
  CHECK(contains(with("\"tiled\": 3.250, ", ""), "no time of version 'tiled', which was chosen"));
  CHECK(contains(with("3.250", "-3.250"), "median_us: tiled: expected a time"));
  CHECK(contains(with("3.250", "1e999"), "t.json: "));
  Tuning twice = example();
  twice.entries.push_back(product(128, 2));
  CHECK(contains(refusal(twice.text()), "two entries for gemm of float32, tf32 products, m 128"));
}

TEST_CASE("a table is for one architecture") {
  const Tuning tuning = example();
  CHECK(error_of([&] { require_for(tuning, Device{}, "t.json"); }) ==
        "t.json: a table for sm_90, but cpu is no GPU: it has one version of each kernel");
  CHECK(committed_tuning(Device{}) == nullptr);
  if (!has_simt()) return;
  CHECK(error_of([&] { require_for(tuning, simt, "t.json"); }) ==
        "t.json: a table for sm_90, but simt is simt");
  CHECK(committed_tuning(simt) == nullptr);
}

TEST_CASE("the committed table of sm_90 is one, in its own form") {
  const std::string file = source_dir() + "/kernels/cuda/tuning/sm_90.json";
  const Tuning tuning = read_tuning(file);
  CHECK(tuning.architecture == "sm_90");
  CHECK(tuning.text() == file_bytes(file));
}

TEST_CASE("the table that the docs show is one") {
  const std::string page = file_bytes(source_dir() + "/docs/cuda.md");
  const std::string fence = "```json\n";
  const std::size_t begin = page.find(fence);
  REQUIRE(begin != std::string::npos);
  const std::size_t from = begin + fence.size();
  const Tuning tuning = parse_tuning(page.substr(from, page.find("```", from) - from), "cuda.md");
  CHECK(tuning.entries.size() == 1);
  CHECK(tuning.text() == page.substr(from, page.find("```", from) - from));
}
