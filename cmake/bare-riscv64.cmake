# RISC-V with floating point.
set(CMAKE_SYSTEM_PROCESSOR riscv64)
set(CMAKE_C_COMPILER riscv64-unknown-elf-gcc)
set(HEARTH_MACHINE -march=rv64imafdc -mabi=lp64d -mcmodel=medany)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
