# Cortex-M55 with its floating-point unit; without its vectors, whose rounding conversions the assembler of
# binutils 2.40 does not take.
set(CMAKE_SYSTEM_PROCESSOR armv8.1-m)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(HEARTH_MACHINE -mcpu=cortex-m55+nomve -mthumb -mfloat-abi=hard)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
