# What bare machines have in common, for a toolchain file that has set CMAKE_C_COMPILER, HEARTH_MACHINE (its
# flags) and CMAKE_SYSTEM_PROCESSOR: the compiler's own headers, and none of a C library but <string.h> of
# src/base/bare, which names the few functions that hearth calls.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=include
  OUTPUT_VARIABLE hearth_compiler_include OUTPUT_STRIP_TRAILING_WHITESPACE)
set(HEARTH_MACHINE_FLAGS ${HEARTH_MACHINE})
list(JOIN HEARTH_MACHINE " " hearth_machine)
set(CMAKE_C_FLAGS_INIT "${hearth_machine} -ffreestanding -nostdinc -isystem ${CMAKE_CURRENT_LIST_DIR}/../src/base/bare -isystem ${hearth_compiler_include} -fno-asynchronous-unwind-tables -fstack-usage -Wno-format")
set(CMAKE_ASM_FLAGS_INIT "${hearth_machine}")
