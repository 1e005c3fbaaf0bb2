#include "kernels/simt/messages.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <stdio.h>

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

std::string source_line(CodeAddress pc) {
  Dl_info image;
  // The callback saw the address to return to; the access lies before it.
  const char* instruction = static_cast<const char*>(pc) - 1;
  if (!dladdr(instruction, &image) || !image.dli_fname) return fmt::format("{}", pc);
  const auto offset = instruction - static_cast<const char*>(image.dli_fbase);
  const std::string command =
      fmt::format("addr2line -e /proc/{}/exe {:#x} 2>/dev/null", "self", offset);
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
  if (failure.thread.x != 0xFFFFFFFF) text += " thread " + show(failure.thread);
  text += ": " + failure.what;
  if (failure.site.file) text += ", " + show(failure.site);
  if (failure.pc) text += ", " + source_line(failure.pc);
  if (failure.other_pc) text += ", the other access at " + source_line(failure.other_pc);
  return text;
}

}  // namespace ek::simt
