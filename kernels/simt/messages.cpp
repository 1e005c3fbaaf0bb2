#include "kernels/simt/messages.h"

#include <fmt/format.h>
#include <link.h>
#include <stdio.h>
#include <unistd.h>

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

std::string show(Site site) {
  return site.file ? fmt::format("{}:{}", site.file, site.line) : "an unknown line";
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

}  // namespace

std::string source_line(CodeAddress pc) {
  // The callback saw the address to return to; the access lies before it.
  const auto address = reinterpret_cast<std::uintptr_t>(pc) - 1 - load_offset();
  const std::string command =
      fmt::format("addr2line -e /proc/{}/exe {:#x} 2>/dev/null", getpid(), address);
  std::string line;
  if (FILE* pipe = popen(command.c_str(), "r")) {
    char buffer[512];
    if (fgets(buffer, sizeof buffer, pipe)) line = buffer;
    pclose(pipe);
  }
  if (line.empty() || line.starts_with("??")) return fmt::format("{}", pc);
  line.erase(line.find_first_of(" \n"));
  return line;
}

std::string describe(const std::string& kernel, const Failure& failure) {
  std::string text = fmt::format("simt: {}: block {}", kernel, show(failure.block));
  if (failure.of_thread) text += " thread " + show(failure.thread);
  text += ": " + failure.what;
  if (failure.site.file) text += ", " + show(failure.site);
  if (failure.pc) text += ", " + source_line(failure.pc);
  if (failure.other_pc) text += ", the other access at " + source_line(failure.other_pc);
  return text;
}

}  // namespace ek::simt
