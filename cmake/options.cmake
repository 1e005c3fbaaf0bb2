set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, Debug or RelWithDebInfo" FORCE)
endif()

set(EK_ARCH "native" CACHE STRING "-march value; results are bit-equal only for one value of it")
# A project that takes this tree in (add_subdirectory) has tests of its own.
option(EK_BUILD_TESTS "build the tests" ${PROJECT_IS_TOP_LEVEL})
option(EK_SANITIZE "address and undefined-behaviour sanitizers" OFF)
option(EK_WITH_ONEDNN "use oneDNN for float32 and bf16 convolutions where it is found" ON)

add_compile_options(
  "$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wno-unknown-pragmas;-march=${EK_ARCH};-fno-math-errno>")
set(CMAKE_CXX_FLAGS_RELEASE "-O2")
if(EK_SANITIZE)
  add_compile_options(-fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_compile_options(-Wno-maybe-uninitialized)  # GCC 12 raises it falsely on instrumented code
  add_link_options(-fsanitize=address,undefined)
endif()

find_program(EK_CCACHE ccache)
if(EK_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${EK_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${EK_CCACHE})
endif()
