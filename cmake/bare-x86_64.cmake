# x86-64 without an operating system: interrupts may use the stack below its end.
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER gcc)
set(HEARTH_MACHINE -march=x86-64-v3 -mno-red-zone -fno-pie -fno-stack-protector)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
