find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Threads REQUIRED)
find_path(EK_STB_INCLUDE stb/stb_image.h REQUIRED)  # PNG
find_package(JPEG REQUIRED)

if(EK_WITH_ONEDNN)
  # Not its CMake package: Debian's asks for OpenCL, which the CPU engine does not use.
  find_path(EK_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp)
  find_library(EK_DNNL_LIBRARY dnnl)
  if(EK_DNNL_INCLUDE AND EK_DNNL_LIBRARY)
    set(dnnl_FOUND TRUE)
    file(STRINGS ${EK_DNNL_INCLUDE}/oneapi/dnnl/dnnl_version.h dnnl_lines
      REGEX "#define DNNL_VERSION_(MAJOR|MINOR|PATCH) ")
    string(REGEX REPLACE "[^0-9;]" "" dnnl_numbers "${dnnl_lines}")
    list(JOIN dnnl_numbers "." dnnl_VERSION)
    add_library(DNNL::dnnl UNKNOWN IMPORTED)
    set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${EK_DNNL_LIBRARY}
      INTERFACE_INCLUDE_DIRECTORIES ${EK_DNNL_INCLUDE})
  endif()
endif()
find_package(benchmark QUIET)  # Google Benchmark, for ek-bench alone
find_package(MPI QUIET COMPONENTS CXX)
if(EK_BUILD_TESTS)
  find_package(Catch2 REQUIRED)
endif()
