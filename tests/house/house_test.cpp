#include "tests/catch.h"
#include "tests/house/checks.h"
#include "tests/paths.h"
#include "tests/temp_dir.h"

using namespace house;

namespace {

const std::filesystem::path tree = source_dir();

// Shows each violation when there are any.
void require_none(const Violations& found) {
  for (const std::string& violation : found) UNSCOPED_INFO(violation);
  REQUIRE(found.empty());
}

std::string lines(int count, const std::string& line = "//") {
  std::string text;
  for (int i = 0; i < count; ++i) text += line + "\n";
  return text;
}

}  // namespace

TEST_CASE("a floor includes only what lies below it") {
  require_none(check_includes(tree));
}
TEST_CASE("files are small") {
  require_none(check_file_sizes(tree));
}
TEST_CASE("within methods each source includes what lies below") {
  require_none(check_method_order(tree));
}
TEST_CASE("folders are small") {
  require_none(check_folder_sizes(tree));
}
TEST_CASE("lines are short") {
  require_none(check_lines(tree));
}
TEST_CASE("headers guard themselves") {
  require_none(check_headers(tree));
}
TEST_CASE("shared memory comes through its accessors") {
  require_none(check_shared_memory(tree));
}
TEST_CASE("the top of the tree is tidy") {
  require_none(check_top_level(tree));
}
TEST_CASE("scripts can be run") {
  require_none(check_scripts(tree));
}
TEST_CASE("comments cite what is in the tree") {
  require_none(check_citations(tree));
}
TEST_CASE("links of the docs resolve") {
  require_none(check_links(tree));
}
TEST_CASE("the docs quote code that exists") {
  require_none(check_quotes(tree));
}

// Each check finds a planted violation, so that silence above means something.

TEST_CASE("planted: includes") {
  TempDir dir;
  for (const char* floor :
       {"kernels", "engine", "models", "data", "methods", "benchmarks", "apps", "tests"}) {
    put_file(dir / (std::string(floor) + "/a.h"), "#pragma once\n");
  }
  const auto found_with = [&](const std::string& file, const std::string& text) {
    put_file(dir / file, text);
    const Violations found = check_includes(dir.path());
    std::filesystem::remove(dir / file);
    return found;
  };
  CHECK(found_with("kernels/b.cpp", "#include <vector>\n#include \"kernels/a.h\"\n").empty());
  CHECK(found_with("kernels/b.cpp", "// text\n#include \"engine/a.h\"\n") ==
        Violations{"kernels/b.cpp:2: includes engine/a.h, but kernels may not include engine"});
  CHECK(found_with("kernels/cpu/b.h", "  # include \"engine/a.h\"\n").size() == 1);
  CHECK(found_with("kernels/cuda/b.cu", "#include \"engine/a.h\"\n").size() == 1);
  CHECK(found_with("engine/b.cpp", "#include \"models/a.h\"\n").size() == 1);
  CHECK(found_with("engine/b.cpp", "#include \"kernels/a.h\"\n").empty());
  CHECK(found_with("models/b.cpp", "#include \"data/a.h\"\n").size() == 1);
  CHECK(found_with("data/b.cpp", "#include \"models/a.h\"\n").size() == 1);
  CHECK(found_with("data/b.cpp", "#include \"methods/a.h\"\n").size() == 1);
  CHECK(found_with("methods/b.cpp", "#include \"data/a.h\"\n#include \"models/a.h\"\n").empty());
  CHECK(found_with("methods/b.cpp", "#include \"apps/a.h\"\n").size() == 1);
  CHECK(found_with("methods/b.cpp", "#include \"benchmarks/a.h\"\n").size() == 1);
  CHECK(found_with("benchmarks/b.cpp", "#include \"methods/a.h\"\n").empty());
  CHECK(found_with("benchmarks/b.cpp", "#include \"apps/a.h\"\n").size() == 1);
  CHECK(found_with("apps/b.cpp", "#include \"benchmarks/a.h\"\n").empty());
  CHECK(found_with("apps/b.cpp", "#include \"methods/a.h\"\n").empty());
  CHECK(found_with("apps/b.cpp", "#include \"tests/a.h\"\n").size() == 1);
  CHECK(found_with("tests/b.cpp", "#include \"apps/a.h\"\n").empty());
  CHECK(found_with("kernels/b.cpp", "#include <engine/a.h>\n").size() == 1);
  CHECK(found_with("engine/b.cpp", "#include \"a.h\"\n") ==
        Violations{"engine/b.cpp:1: includes a.h, which is no file from the root"});
  CHECK(found_with("engine/b.cpp", "#include \"../kernels/a.h\"\n").size() == 1);
  CHECK(found_with("engine/b.cpp", "#include \"engine/none.h\"\n").size() == 1);
}

TEST_CASE("planted: sizes") {
  TempDir dir;
  put_file(dir / "engine/a.cpp", lines(150));
  CHECK(check_file_sizes(dir.path()).empty());
  put_file(dir / "engine/a.cpp", lines(151));
  CHECK(check_file_sizes(dir.path()) == Violations{"the median file has 151 lines, at most 150"});
  put_file(dir / "engine/b.cpp", lines(10));
  put_file(dir / "engine/c.cpp", lines(10));
  CHECK(check_file_sizes(dir.path()).empty());
  put_file(dir / "engine/a.cpp", lines(400));
  CHECK(check_file_sizes(dir.path()).empty());
  put_file(dir / "engine/a.cpp", lines(401));
  CHECK(check_file_sizes(dir.path()) == Violations{"engine/a.cpp: 401 lines, at most 400"});
}

TEST_CASE("planted: the order within methods") {
  TempDir dir;
  put_file(dir / "methods/method.h", "#include \"methods/losses/loss.h\"\n");
  put_file(dir / "methods/losses/loss.h", "#include \"methods/recipes/recipe.h\"\n");
  put_file(dir / "methods/meta/a.cpp", "#include \"methods/meta/b.h\"\n");
  put_file(dir / "methods/registry.cpp", "#include \"methods/meta/b.h\"\n");
  CHECK(check_method_order(dir.path()).empty());
  put_file(dir / "methods/recipes/keys.cpp", "\n#include \"methods/method.h\"\n");
  put_file(dir / "methods/experts/c.cpp", "#include \"methods/meta/b.h\"\n");
  CHECK(check_method_order(dir.path()) ==
        Violations{"methods/experts/c.cpp:1: experts may not include methods/meta/b.h",
                   "methods/recipes/keys.cpp:2: recipes may not include methods/method.h"});
}

TEST_CASE("planted: folders") {
  TempDir dir;
  for (int i = 0; i < 25; ++i) put_file(dir / ("engine/a" + std::to_string(i) + ".cpp"), "");
  put_file(dir / "engine/ops/b.cpp", "");
  CHECK(check_folder_sizes(dir.path()).empty());
  put_file(dir / "engine/c.h", "");
  CHECK(check_folder_sizes(dir.path()) == Violations{"engine: 26 source files, at most 25"});
}

TEST_CASE("planted: lines") {
  TempDir dir;
  put_file(dir / "tests/a.h", std::string(100, 'x') + "\n");
  CHECK(check_lines(dir.path()).empty());
  std::string wide;
  for (int i = 0; i < 100; ++i) wide += "\xc3\xa9";  // 200 bytes, 100 columns
  put_file(dir / "tests/a.h", wide + "\n");
  CHECK(check_lines(dir.path()).empty());
  put_file(dir / "tests/a.h", "//\n" + std::string(101, 'x') + "\n");
  CHECK(check_lines(dir.path()) == Violations{"tests/a.h:2: 101 columns, at most 100"});
  put_file(dir / "tests/a.h", "\tint x;\n");
  CHECK(check_lines(dir.path()) == Violations{"tests/a.h:1: a tab"});
  put_file(dir / "tests/a.h", "int x; \n");
  CHECK(check_lines(dir.path()) == Violations{"tests/a.h:1: ends with a space"});
}

TEST_CASE("planted: headers") {
  TempDir dir;
  put_file(dir / "data/a.h", "#pragma once\n");
  put_file(dir / "data/a.cpp", "\n");
  CHECK(check_headers(dir.path()).empty());
  put_file(dir / "data/b.h", "// #pragma once\n");
  CHECK(check_headers(dir.path()) == Violations{"data/b.h: no #pragma once"});
}

TEST_CASE("planted: shared memory") {
  TempDir dir;
  put_file(dir / "kernels/cuda/base/native.cuh", "extern __shared__ unsigned char raw[];\n");
  put_file(dir / "kernels/cuda/a.cu", "EK_SHARED(x, int);  // not __shared__\n");
  CHECK(check_shared_memory(dir.path()).empty());
  put_file(dir / "kernels/cuda/b.cu", "\n  __shared__ float x[32];\n");
  put_file(dir / "tests/simt/c.cu", "extern __shared__ float y[];\n");
  CHECK(check_shared_memory(dir.path()) ==
        Violations{"kernels/cuda/b.cu:2: __shared__", "tests/simt/c.cu:1: __shared__"});
}

TEST_CASE("planted: the top of the tree") {
  TempDir dir;
  put_file(dir / ".gitignore", "# built\n/build*/\n*.bin\n");
  put_file(dir / "build-debug/a", "");
  put_file(dir / "train.bin", "");
  put_file(dir / "README.md", "");
  CHECK(check_top_level(dir.path()).empty());
  put_file(dir / "notes.txt", "");
  put_file(dir / "src/a.cpp", "");
  CHECK(check_top_level(dir.path()) ==
        Violations{"notes.txt: does not belong at the top of the tree",
                   "src: does not belong at the top of the tree"});
}

TEST_CASE("planted: scripts") {
  TempDir dir;
  const auto script = dir / "scripts/a.sh";
  put_file(script, "#!/usr/bin/env bash\nset -euo pipefail\n");
  CHECK(check_scripts(dir.path()) == Violations{"scripts/a.sh: not executable"});
  std::filesystem::permissions(script, std::filesystem::perms::owner_all);
  CHECK(check_scripts(dir.path()).empty());
  put_file(script, "echo\n");
  CHECK(check_scripts(dir.path()) ==
        Violations{"scripts/a.sh: no #! line", "scripts/a.sh: no set -euo pipefail"});
}

TEST_CASE("planted: citations") {
  TempDir dir;
  put_file(dir / "docs/losses.md", "# Losses\n");
  put_file(dir / "engine/a.h",
           "// The losses (docs/losses.md). A spec that augments; DESIGNATED\n");
  REQUIRE(check_citations(dir.path()).empty());
  put_file(dir / "engine/b.h",
           "// DESIGN 2.1\n// spec 3.9\n// the spec methods-x\n// docs/gone.md\n");
  REQUIRE(check_citations(dir.path()) ==
          Violations{"engine/b.h:1: cites DESIGN", "engine/b.h:2: cites a spec",
                     "engine/b.h:3: cites a spec", "engine/b.h:4: cites docs/gone.md"});
}

TEST_CASE("planted: links") {
  TempDir dir;
  put_file(dir / "README.md", "[a](docs/a.md#two-words) [b](https://example.org) `engine/a.h`\n");
  put_file(dir / "engine/a.h", "");
  put_file(dir / "docs/a.md",
           "# A\n## Two words\n[back](../README.md) [here](#a)\n```\n[x](y)\n```\n");
  REQUIRE(check_links(dir.path()).empty());
  put_file(dir / "docs/b.md", "[x](c.md)\n[y](a.md#three)\n`engine/gone.h` `engine/*.h`\n");
  REQUIRE(check_links(dir.path()) == Violations{"docs/b.md:1: c.md leads nowhere",
                                                "docs/b.md:2: a.md#three has no such heading",
                                                "docs/b.md:3: engine/gone.h is no file"});
}

TEST_CASE("planted: quotes") {
  TempDir dir;
  put_file(dir / "tests/a.cu", "int a;\nint b;\nint c;\n");
  put_file(dir / "docs/deep/good.md",
           "```cpp tests/a.cu\nint b;\nint c;\n```\n```cpp\nfree\n```\n");
  REQUIRE(check_quotes(dir.path()).empty());
  put_file(dir / "docs/bad.md", "text\n```cpp tests/a.cu\nint a;\nint c;\n```\n");
  put_file(dir / "docs/gone.md", "```cpp tests/b.cu\nint a;\n```\n");
  const Violations found = check_quotes(dir.path());
  REQUIRE(found.size() == 2);
  REQUIRE(found[0] == "docs/bad.md:2: not in tests/a.cu");
  REQUIRE(found[1] == "docs/gone.md:1: not in tests/b.cu");
}
