# The host executor: kernels/cuda/*.cu compiled as C++ (docs/host-executor.md). Three flavours:
#   plain       as any C++
#   checked     with the thread sanitizer's instrumentation and our own callbacks
#   sanitized   with the address and undefined-behaviour sanitizers
# A build that is sanitized as a whole (EK_SANITIZE) has the first alone, which then is the last.
find_path(EK_BOOST_CONTEXT_INCLUDE boost/context/detail/fcontext.hpp)
find_library(EK_BOOST_CONTEXT_LIBRARY boost_context)
set(EK_HAS_SIMT FALSE)
if(EK_BOOST_CONTEXT_INCLUDE AND EK_BOOST_CONTEXT_LIBRARY)
  set(EK_HAS_SIMT TRUE)
endif()
set(EK_SIMT_DEVICE AUTO CACHE STRING
  "--device simt in the programs: AUTO (where Boost.Context is found), ON (must be), OFF")
set_property(CACHE EK_SIMT_DEVICE PROPERTY STRINGS AUTO ON OFF)
set(EK_HAS_SIMT_DEVICE FALSE)
if(EK_SIMT_DEVICE AND EK_HAS_SIMT)  # AUTO or a true value
  set(EK_HAS_SIMT_DEVICE TRUE)
elseif(EK_SIMT_DEVICE AND NOT EK_SIMT_DEVICE STREQUAL "AUTO")
  message(FATAL_ERROR "EK_SIMT_DEVICE is ${EK_SIMT_DEVICE}, but there is no Boost.Context")
endif()
set(EK_SIMT_FLAVOURS plain)
if(NOT EK_SANITIZE)
  list(APPEND EK_SIMT_FLAVOURS checked sanitized)
endif()

set(ek_simt_sanitize -fsanitize=address,undefined -fno-sanitize-recover=all
  -fno-omit-frame-pointer -g1 $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
set(ek_simt_check -fsanitize=thread -g1
  $<$<CXX_COMPILER_ID:GNU>:--param=tsan-instrument-func-entry-exit=0>
  $<$<CXX_COMPILER_ID:Clang>:SHELL:-mllvm -tsan-instrument-func-entry-exit=0>)

# ek_simt_kernels(NAME FLAVOUR SOURCES...): a library of .cu files as C++. A file's language is a
# property of the folder that builds it, so this must not share one with the nvcc build.
function(ek_simt_kernels name flavour)
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  # One result in all flavours; what kernels do with types; file names from the root in messages
  # (a generator may name a source from the build folder).
  file(RELATIVE_PATH up ${PROJECT_BINARY_DIR} ${PROJECT_SOURCE_DIR})
  target_compile_options(${name} PRIVATE -ffp-contract=off -fno-strict-aliasing
    -ffile-prefix-map=${PROJECT_SOURCE_DIR}/= -ffile-prefix-map=${up}=
    -fdebug-prefix-map=${PROJECT_BINARY_DIR}=.)
  if(flavour STREQUAL "checked")
    target_compile_options(${name} PRIVATE ${ek_simt_check})
  elseif(flavour STREQUAL "sanitized")
    target_compile_options(${name} PRIVATE ${ek_simt_sanitize})
  endif()
  if(NOT flavour STREQUAL "plain")
    set_target_properties(${name} PROPERTIES EXCLUDE_FROM_ALL TRUE)
  endif()
endfunction()
