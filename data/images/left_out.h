#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace ek {

// What lies in a data set's folders and is not read, counted by reason, for one line that says so.
class LeftOut {
 public:
  // An entry of a class folder that is no image file.
  void add(const std::filesystem::path& entry);
  // Any other, under a reason of its own in singular and plural ("file beside the class folders").
  void add(const std::filesystem::path& entry, const std::string& one, const std::string& many);

  // "3 .webp files (cat/a.webp ...), 1 link that leads nowhere (cat/b.png)", "" when nothing was
  // left out. Paths are relative to `root`.
  std::string line(const std::filesystem::path& root) const;

 private:
  struct Count {
    std::string one, many;
    std::int64_t entries = 0;
    std::filesystem::path first;
  };
  std::vector<Count> counts_;  // in the order of the first of each
};

// True for a symbolic link whose target is not there.
bool leads_nowhere(const std::filesystem::path& path);

}  // namespace ek
