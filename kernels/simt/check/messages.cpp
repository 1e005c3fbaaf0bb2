#include "kernels/simt/check/messages.h"

#include <fmt/format.h>
#include <link.h>
#include <stdio.h>
#include <unistd.h>

#include <map>
#include <string_view>

namespace ek::simt {

namespace {

void erase_all(std::string& text, std::string_view part) {
  for (auto at = text.find(part); at != text.npos; at = text.find(part)) {
    text.erase(at, part.size());
  }
}

}  // namespace

std::string show(Dim3 d) {
  return fmt::format("({},{},{})", d.x, d.y, d.z);
}

std::string kernel_title(std::string_view pretty) {
  const std::string_view key = "Kernel = ";
  const auto begin = pretty.find(key);
  if (begin == pretty.npos) return std::string(pretty);
  std::string title(pretty.substr(begin + key.size()));
  if (title.ends_with(']')) title.pop_back();
  for (const char* part : {"ek::kernels::simt_target::", "ek::kernels::", "ek::", "{anonymous}::",
                           "(anonymous namespace)::", "<unnamed>::", "&"}) {
    erase_all(title, part);
  }
  return title;
}

namespace {

// Where the linker's addresses of the program were loaded.
std::uintptr_t load_offset() {
  std::uintptr_t offset = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* to) {
        *static_cast<std::uintptr_t*>(to) = info->dlpi_addr;
        return 1;  // the first object is the program
      },
      &offset);
  return offset;
}

// A process per address: remembered, as the same few lines tend to fail.
std::string source_line(const void* return_address) {
  static std::map<const void*, std::string> known;
  std::string& line = known[return_address];
  if (!line.empty()) return line;
  line = fmt::format("{}", return_address);
  // The access lies before the address to return to.
  const auto address = reinterpret_cast<std::uintptr_t>(return_address) - 1 - load_offset();
  const std::string command =
      fmt::format("addr2line -e /proc/{}/exe {:#x} 2>/dev/null", getpid(), address);
  FILE* pipe = popen(command.c_str(), "r");
  if (!pipe) return line;
  char buffer[512];
  const std::string answer = fgets(buffer, sizeof buffer, pipe) ? buffer : "";
  pclose(pipe);
  if (answer.empty() || answer.starts_with("??")) return line;
  line = answer.substr(answer.starts_with("./") ? 2 : 0);
  line.erase(line.find_first_of(" \n"));
  return line;
}

}  // namespace

std::string show(Origin origin) {
  if (!origin.file_or_address) return "an unknown line";
  if (origin.line == 0) return source_line(origin.file_or_address);
  return fmt::format("{}:{}", static_cast<const char*>(origin.file_or_address), origin.line);
}

std::string describe(const std::string& kernel, const Failure& failure) {
  std::string text = fmt::format("simt: {}: block {}", kernel, show(failure.block));
  if (failure.of_thread) text += " thread " + show(failure.thread);
  text += ": " + failure.what;
  if (failure.at.file_or_address) text += ", " + show(failure.at);
  if (failure.other.file_or_address) text += ", the other access at " + show(failure.other);
  return text;
}

}  // namespace ek::simt
