# CUDA, where it is wanted and found: sets EK_HAS_CUDA. docs/cuda.md says how to get the toolkit.
set(EK_CUDA AUTO CACHE STRING "the CUDA backend: AUTO (where nvcc is found), ON (must be), OFF")
set_property(CACHE EK_CUDA PROPERTY STRINGS AUTO ON OFF)
set(ek_default_architectures "80-real;90")
if(DEFINED ENV{EK_CUDA_ARCHITECTURES})
  set(ek_default_architectures $ENV{EK_CUDA_ARCHITECTURES})
endif()
set(EK_CUDA_ARCHITECTURES "${ek_default_architectures}" CACHE STRING
  "GPU architectures: by default machine code for 80 and 90, and PTX of 90 for later ones")
option(EK_WITH_CUDNN "use cuDNN where it is found" ON)
option(EK_WITH_CUBLAS "use cuBLAS where it is found" ON)
option(EK_WITH_NCCL "use NCCL where it is found" ON)

# EK_CUDA_DEVICE: the engine has the device cuda, and programs the kernels; as that takes long to
# compile, it is asked for by EK_CUDA=ON.
set(EK_HAS_CUDA FALSE)
set(EK_CUDA_DEVICE FALSE)
if(EK_CUDA)  # AUTO or a true value
  find_program(EK_NVCC nvcc PATHS /usr/local/cuda/bin)
  if(EK_NVCC)
    set(CMAKE_CUDA_COMPILER ${EK_NVCC} CACHE FILEPATH "nvcc")
    set(CMAKE_CUDA_ARCHITECTURES ${EK_CUDA_ARCHITECTURES})
    if(EK_CUDA STREQUAL "AUTO")
      include(CheckLanguage)
      check_language(CUDA)  # an nvcc that cannot use this host compiler counts as not there
    endif()
    if(CMAKE_CUDA_COMPILER)
      enable_language(CUDA)
      find_package(CUDAToolkit REQUIRED)
      set(EK_HAS_CUDA TRUE)
      if(NOT EK_CUDA STREQUAL "AUTO")
        set(EK_CUDA_DEVICE TRUE)
      endif()
    endif()
  elseif(NOT EK_CUDA STREQUAL "AUTO")
    message(FATAL_ERROR "EK_CUDA is ${EK_CUDA}, but there is no nvcc; see docs/cuda.md")
  endif()
endif()

if(EK_HAS_CUDA)
  if(EK_WITH_CUDNN)
    find_path(EK_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    find_library(EK_CUDNN_LIBRARY cudnn HINTS ${CUDAToolkit_LIBRARY_DIR})
  endif()
  if(EK_WITH_NCCL)
    find_path(EK_NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
    find_library(EK_NCCL_LIBRARY nccl HINTS ${CUDAToolkit_LIBRARY_DIR})
  endif()
endif()

# What every target with .cu files for nvcc needs.
function(ek_cuda_options name)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
  # Static, as CMake links it for CUDA sources anyway: two runtimes in a program are one too many.
  target_link_libraries(${name} PUBLIC CUDA::cudart_static fmt::fmt)
  # CMake 3.25 does not know C++20 for nvcc 13, and must not insist on it. The relaxed flag lets device code call constexpr
  # functions of the standard library, such as std::bit_cast.
  target_compile_options(${name} PRIVATE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;\
--expt-relaxed-constexpr;--Werror=cross-execution-space-call;-Xcompiler=-Wall,-Wextra>")
  set_target_properties(${name} PROPERTIES CUDA_STANDARD_REQUIRED OFF)
endfunction()
