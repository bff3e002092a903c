# Warnings, sanitizers and numeric flags shared by everything that is compiled here.
add_library(hearth_flags INTERFACE)
target_compile_options(hearth_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes
  -Wno-unused-parameter
  # floats: what is written is what is computed, on every level
  -ffp-contract=off -fno-math-errno -fno-trapping-math
  $<$<BOOL:${HEARTH_WERROR}>:-Werror>)
target_compile_definitions(hearth_flags INTERFACE
  HEARTH_DEBUG=$<BOOL:${HEARTH_DEBUG}>
  HEARTH_ERROR_TEXT=$<BOOL:${HEARTH_ERROR_TEXT}>
  HEARTH_WITH_GGUF=$<BOOL:${HEARTH_GGUF}>
  HEARTH_WITH_ONNX=$<BOOL:${HEARTH_ONNX}>
  HEARTH_WITH_TENSORS=$<BOOL:${HEARTH_TENSORS}>
  HEARTH_WITH_JSON=$<BOOL:${HEARTH_JSON}>
  HEARTH_WITH_MMAP=$<BOOL:${HEARTH_MMAP}>
  HEARTH_WITH_ARENA=$<BOOL:${HEARTH_ARENA}>
  HEARTH_WITH_KV_CACHE=$<BOOL:${HEARTH_KV_CACHE}>
  HEARTH_WITH_SIMD_TOKENIZER=$<BOOL:${HEARTH_SIMD_TOKENIZER}>
  HEARTH_WITH_THREAD_POOL=$<BOOL:${HEARTH_THREAD_POOL}>)
if(HEARTH_SANITIZE)
  target_compile_options(hearth_flags INTERFACE
    -fsanitize=${HEARTH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(hearth_flags INTERFACE -fsanitize=${HEARTH_SANITIZE})
endif()
string(APPEND CMAKE_C_FLAGS_RELEASE " -O2")
string(REPLACE "-O3" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
