# Kernel levels (src/kernels/levels.def): which of them this build contains, and the compiler flags of
# their files. A file belongs to a level by the end of its name: norm_avx2.c. Sets HEARTH_KERNEL_SOURCES.

include(CheckCCompilerFlag)

set(HEARTH_FLAGS_scalar "")
set(HEARTH_FLAGS_avx2 "-mavx2;-mfma;-mf16c")
set(HEARTH_FLAGS_avx2_vnni "-mavx2;-mfma;-mf16c;-mavxvnni")
set(HEARTH_FLAGS_avx512
  "-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512vnni;-mprefer-vector-width=512")
set(HEARTH_FLAGS_neon "")
set(HEARTH_FLAGS_neon_dot "-march=armv8.2-a+dotprod")
set(HEARTH_FLAGS_neon_i8mm "-march=armv8.2-a+dotprod+i8mm")

set(HEARTH_ARCH_avx2 "x86_64|AMD64|amd64")
set(HEARTH_ARCH_avx2_vnni "x86_64|AMD64|amd64")
set(HEARTH_ARCH_avx512 "x86_64|AMD64|amd64")
foreach(level IN ITEMS neon neon_dot neon_i8mm) # little-endian; aarch64_be has the scalar level
  set(HEARTH_ARCH_${level} "aarch64|arm64|ARM64")
endforeach()

set(HEARTH_KERNEL_SOURCES src/kernels/qtypes.c src/kernels/cpu.c src/kernels/dispatch.c)
set(hearth_level_defines "")

file(STRINGS src/kernels/levels.def hearth_level_rows REGEX "^HK_LEVEL\\(")
set(hearth_above_top OFF)
foreach(row IN LISTS hearth_level_rows)
  string(REGEX REPLACE "^HK_LEVEL\\(([a-z0-9_]+).*" "\\1" level "${row}")
  set(with 1)
  if(DEFINED HEARTH_ARCH_${level} AND NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(${HEARTH_ARCH_${level}})$")
    set(with 0)
  elseif(hearth_above_top OR NOT EXISTS "${PROJECT_SOURCE_DIR}/src/kernels/kernels_${level}.c")
    set(with 0)
  elseif(level STREQUAL "avx2_vnni") # newer than the compilers that are asked for
    check_c_compiler_flag(-mavxvnni HEARTH_COMPILER_HAS_AVXVNNI)
    if(NOT HEARTH_COMPILER_HAS_AVXVNNI)
      set(with 0)
    endif()
  endif()
  if(HEARTH_LEVEL STREQUAL level)
    set(hearth_above_top ON)
  endif()
  list(APPEND hearth_level_defines "HK_WITH_${level}=${with}")
  if(with)
    file(GLOB found RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
      "${PROJECT_SOURCE_DIR}/src/kernels/*_${level}.c"
      "${PROJECT_SOURCE_DIR}/src/kernels/quant/*_${level}.c")
    if(hearth_qtypes) # HearthLists.cmake
      list(FILTER found EXCLUDE REGEX "/quant/(i?q|mxfp)[0-9a-z_]*_${level}\\.c$")
      foreach(type IN LISTS hearth_qtypes ITEMS q8_0)
        if(EXISTS "${PROJECT_SOURCE_DIR}/src/kernels/quant/${type}_${level}.c")
          list(APPEND found src/kernels/quant/${type}_${level}.c)
        endif()
      endforeach()
      list(REMOVE_DUPLICATES found)
    endif()
    list(APPEND HEARTH_KERNEL_SOURCES ${found})
    set_property(SOURCE ${found} APPEND PROPERTY COMPILE_OPTIONS ${HEARTH_FLAGS_${level}})
  endif()
endforeach()
if(HEARTH_LEVEL AND NOT hearth_above_top)
  message(FATAL_ERROR "HEARTH_LEVEL=${HEARTH_LEVEL} is no row of src/kernels/levels.def")
endif()
set_property(SOURCE src/kernels/cpu.c APPEND PROPERTY COMPILE_DEFINITIONS ${hearth_level_defines})
