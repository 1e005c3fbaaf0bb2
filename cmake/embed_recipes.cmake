# Compiles apps/recipes/**/*.json into the programs: sets EK_RECIPES_CPP, the path of a generated
# source that defines ek::builtin_recipes() (apps/support/builtin_recipes.h). A recipe's name is its
# path below apps/recipes without the extension. The source is written again when a file changes,
# comes or goes.
file(GLOB_RECURSE EK_RECIPES CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/apps/recipes
     ${CMAKE_SOURCE_DIR}/apps/recipes/*.json)
list(SORT EK_RECIPES)
set(EK_RECIPES_CPP ${CMAKE_BINARY_DIR}/generated/builtin_recipes.cpp)

# cmake/write_recipes.cmake does the writing at build time, so that an edited recipe costs one small
# file and no new configure. The list is handed over in a file, which changes only when a recipe
# comes or goes.
set(ek_recipe_list ${CMAKE_BINARY_DIR}/generated/recipes.txt)
list(JOIN EK_RECIPES "\n" ek_recipe_lines)
file(CONFIGURE OUTPUT ${ek_recipe_list} CONTENT "${ek_recipe_lines}\n" @ONLY)
list(TRANSFORM EK_RECIPES PREPEND ${CMAKE_SOURCE_DIR}/apps/recipes/ OUTPUT_VARIABLE ek_recipe_files)

add_custom_command(
  OUTPUT ${EK_RECIPES_CPP}
  COMMAND ${CMAKE_COMMAND} -D LIST=${ek_recipe_list} -D FOLDER=${CMAKE_SOURCE_DIR}/apps/recipes
          -D OUTPUT=${EK_RECIPES_CPP} -P ${CMAKE_SOURCE_DIR}/cmake/write_recipes.cmake
  DEPENDS ${ek_recipe_files} ${ek_recipe_list} ${CMAKE_SOURCE_DIR}/cmake/write_recipes.cmake
  COMMENT "Embedding the recipes"
  VERBATIM)
