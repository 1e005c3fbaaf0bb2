# Run by the build (cmake -P) with LIST, FOLDER and OUTPUT: writes the C++ source that holds the
# recipes. Each text becomes an array of bytes, for which no quoting and no limit on the length of a
# string literal matters.
file(STRINGS ${LIST} names)
set(arrays "")
set(table "")
set(index 0)
foreach(name IN LISTS names)
  file(READ ${FOLDER}/${name} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
  # Some sixteen bytes a line.
  string(REPEAT "[^,]*," 16 sixteen)
  string(REGEX REPLACE "(${sixteen})" "\\1\n    " bytes "${bytes}")
  string(REGEX REPLACE "\\.json$" "" recipe "${name}")
  string(APPEND arrays "constexpr char recipe_${index}[] = {\n    ${bytes}'\\0'};\n\n")
  string(APPEND table "    BuiltinRecipe{\"${recipe}\", {recipe_${index}, sizeof recipe_${index} - 1}},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${OUTPUT} "// Generated from apps/recipes by cmake/write_recipes.cmake.
#include \"apps/support/builtin_recipes.h\"

#include <array>

namespace ek {
namespace {

${arrays}constexpr std::array<BuiltinRecipe, ${index}> recipes{
${table}};

}  // namespace

std::span<const BuiltinRecipe> builtin_recipes() { return recipes; }

}  // namespace ek
")
