#pragma once
#include <filesystem>
#include <string>
#include <vector>

// The rules of the house (floors, sizes, layout), checked on a source tree. Each check returns one
// line per violation, sorted; an empty list is a tree that keeps the rule.
namespace house {

using Violations = std::vector<std::string>;

// #include lines name existing files from the root, and a floor includes itself and those below:
// kernels <- engine <- {models, data} <- methods <- benchmarks <- apps. tests may include all.
Violations check_includes(const std::filesystem::path& root);

// No source file past 400 lines; a median of 150 at most.
Violations check_file_sizes(const std::filesystem::path& root);

// The floor methods/ has an order of its own:
//   recipes <- {losses, evaluation} <- method.h and its like <- {supervised.cpp, meta, ...families}
//   <- registry.cpp <- session <- training
// A source includes its own folder and what lies below.
Violations check_method_order(const std::filesystem::path& root);

// At most 25 source files in a folder, not counting those of its sub-folders.
Violations check_folder_sizes(const std::filesystem::path& root);

// No line of a source file past 100 columns (code points), no tab, no trailing space.
Violations check_lines(const std::filesystem::path& root);

// Every header has #pragma once.
Violations check_headers(const std::filesystem::path& root);

// Kernels get shared memory from shared_memory<T>() and EK_SHARED, never from __shared__: that word
// means nothing to the host compiler. native.cuh, which defines the two, is the exception.
Violations check_shared_memory(const std::filesystem::path& root);

// The top of the tree holds what belongs there and what .gitignore names, and nothing else.
Violations check_top_level(const std::filesystem::path& root);

// The scripts can be run.
Violations check_scripts(const std::filesystem::path& root);

// A comment cites what a reader of the tree can open: pages of docs/ and papers, no plan or
// specification that lies elsewhere.
Violations check_citations(const std::filesystem::path& root);

// Relative links and paths in README.md and docs/ lead to a file, and #anchors to a heading.
Violations check_links(const std::filesystem::path& root);

// Code that docs/ quotes, in a block that opens with "```cpp FILE", is in that file, line by line.
Violations check_quotes(const std::filesystem::path& root);

}  // namespace house
