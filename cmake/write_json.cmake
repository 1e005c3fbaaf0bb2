# Run by the build (cmake -P) with LIST, ROOT, FOLDER, HEADER, FUNCTION and OUTPUT: writes the
# C++ source of ek_embed_json. Each text becomes an array of bytes, for which no quoting and no limit
# on the length of a string literal matters.
file(STRINGS ${LIST} names)
set(arrays "")
set(table "")
set(index 0)
foreach(name IN LISTS names)
  file(READ ${ROOT}/${FOLDER}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  # Some sixteen bytes a line.
  string(REPEAT "[^,]*," 16 sixteen)
  string(REGEX REPLACE "(${sixteen})" "\\1\n    " bytes "${bytes}")
  string(REGEX REPLACE "\\.json$" "" stem "${name}")
  string(APPEND arrays "constexpr char text_${index}[] = {\n    ${bytes}'\\0'};\n\n")
  string(APPEND table "    EmbeddedText{\"${stem}\", {text_${index}, sizeof text_${index} - 1}},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Generated from ${FOLDER} by cmake/write_json.cmake.
#include \"${HEADER}\"

#include <array>

namespace ek {
namespace {

${arrays}constexpr std::array<EmbeddedText, ${index}> texts{
${table}};

}  // namespace

std::span<const EmbeddedText> ${FUNCTION}() { return texts; }

}  // namespace ek
")
