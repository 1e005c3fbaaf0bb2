# ek_floor(NAME LIBRARIES...): the static library of the calling folder, made of every .cpp below it
# and linked to the floors and libraries below. (What lies in a folder that has a CMakeLists.txt of
# its own, as kernels/cuda and kernels/simt do, is built there.)
function(ek_floor name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  file(GLOB own_builds ${CMAKE_CURRENT_SOURCE_DIR}/*/CMakeLists.txt)
  foreach(file ${own_builds})
    get_filename_component(folder ${file} DIRECTORY)
    list(FILTER sources EXCLUDE REGEX "^${folder}/")
  endforeach()
  if(NOT sources)  # a floor that has headers alone is still a target
    set(sources ${PROJECT_BINARY_DIR}/generated/${name}.cpp)
    file(CONFIGURE OUTPUT ${sources} CONTENT "")
  endif()
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC ${ARGN})
endfunction()
