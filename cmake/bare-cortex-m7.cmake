# Cortex-M7 with single and double precision.
set(CMAKE_SYSTEM_PROCESSOR armv7e-m)
set(CMAKE_C_COMPILER arm-none-eabi-gcc)
set(HEARTH_MACHINE -mcpu=cortex-m7 -mthumb -mfpu=fpv5-d16 -mfloat-abi=hard)
include(${CMAKE_CURRENT_LIST_DIR}/bare.cmake)
