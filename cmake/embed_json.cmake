# ek_embed_json(OUT folder HEADER header FUNCTION function): compiles the *.json below `folder` (from
# the root) into a program. Sets OUT to the path of a generated source that defines
# std::span<const EmbeddedText> ek::function() (engine/io/embedded_text.h), which `header` declares. The
# source is written again when a file changes, comes or goes.
#
# cmake/write_json.cmake does the writing at build time, so that an edited file costs one small
# source and no new configure. The list is handed over in a file, which changes only when a file
# comes or goes.
function(ek_embed_json out folder)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "HEADER;FUNCTION" "")
  set(absolute ${PROJECT_SOURCE_DIR}/${folder})
  file(GLOB_RECURSE names CONFIGURE_DEPENDS RELATIVE ${absolute} ${absolute}/*.json)
  list(SORT names)
  set(source ${PROJECT_BINARY_DIR}/generated/${arg_FUNCTION}.cpp)
  set(list ${PROJECT_BINARY_DIR}/generated/${arg_FUNCTION}.txt)
  list(JOIN names "\n" lines)
  file(CONFIGURE OUTPUT ${list} CONTENT "${lines}\n" @ONLY)
  list(TRANSFORM names PREPEND ${absolute}/ OUTPUT_VARIABLE files)
  add_custom_command(
    OUTPUT ${source}
    COMMAND ${CMAKE_COMMAND} -D LIST=${list} -D ROOT=${PROJECT_SOURCE_DIR} -D FOLDER=${folder}
            -D HEADER=${arg_HEADER} -D FUNCTION=${arg_FUNCTION}
            -D OUTPUT=${source} -P ${PROJECT_SOURCE_DIR}/cmake/write_json.cmake
    DEPENDS ${files} ${list} ${PROJECT_SOURCE_DIR}/cmake/write_json.cmake
    COMMENT "Embedding ${folder}"
    VERBATIM)
  set(${out} ${source} PARENT_SCOPE)
endfunction()
