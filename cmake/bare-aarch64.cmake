# AArch64 without an operating system, by the compiler for Linux; -mstrict-align because memory is device
# memory until somebody turns the MMU on.
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(HEARTH_MACHINE -march=armv8-a -mstrict-align -mno-outline-atomics -fno-pie -fno-stack-protector)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
