# One archive and one shared library, as a product gets them: both from the objects of the target
# `hearth`, and in both nothing but hearth_* can be seen from outside.
#
#   hearth_one      one/libhearth.a: all objects linked into one (ld -r), everything else made local
#   hearth_shared   one/libhearth.so.MAJOR: symbols carry the version HEARTH_MAJOR
#
# Sections stay one per function, so a program that is linked with --gc-sections takes what it uses.

# What the header declares is kept, and what that needs: everything else stays behind.
file(READ ${PROJECT_SOURCE_DIR}/include/hearth.h hearth_header)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/hearth.h)
string(REGEX REPLACE "/\\*[^*]*\\*+([^/*][^*]*\\*+)*/" "" hearth_header "${hearth_header}")
string(REGEX MATCHALL "HEARTH_API[^;{(]*[ *](hearth_[a-z0-9_]+)\\(" hearth_functions "${hearth_header}")
list(TRANSFORM hearth_functions REPLACE "^.*[ *](hearth_[a-z0-9_]+)\\($" "-Wl,-u,\\1")

set(HEARTH_ONE_DIR ${PROJECT_BINARY_DIR}/one)
file(MAKE_DIRECTORY ${HEARTH_ONE_DIR})

if(CMAKE_OBJCOPY AND NOT APPLE AND NOT HEARTH_SANITIZE)
  set(hearth_one ${HEARTH_ONE_DIR}/libhearth.a)
  set(hearth_one_object ${HEARTH_ONE_DIR}/hearth.o)
  add_custom_command(OUTPUT ${hearth_one}
    COMMAND ${CMAKE_C_COMPILER} ${HEARTH_MACHINE_FLAGS} -r -nostdlib -no-pie -Wl,--gc-sections
            ${hearth_functions} -o ${hearth_one_object}
            -Wl,--whole-archive $<TARGET_FILE:hearth> -Wl,--no-whole-archive
    COMMAND ${CMAKE_OBJCOPY} --wildcard --keep-global-symbol=hearth_* ${hearth_one_object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${hearth_one}
    COMMAND ${CMAKE_AR} qcs ${hearth_one} ${hearth_one_object}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${hearth_one_object}
    DEPENDS hearth COMMAND_EXPAND_LISTS VERBATIM)
  add_custom_target(hearth_one ALL DEPENDS ${hearth_one})
endif()

if(HEARTH_OS STREQUAL "posix" AND NOT APPLE AND NOT HEARTH_SANITIZE)
  file(CONFIGURE OUTPUT ${HEARTH_ONE_DIR}/hearth.map
    CONTENT "HEARTH_@PROJECT_VERSION_MAJOR@ { global: hearth_*; local: *; };\n" @ONLY)
  add_library(hearth_shared SHARED $<TARGET_OBJECTS:hearth>)
  set_target_properties(hearth_shared PROPERTIES
    OUTPUT_NAME hearth LIBRARY_OUTPUT_DIRECTORY ${HEARTH_ONE_DIR} LINKER_LANGUAGE C
    VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS ${HEARTH_ONE_DIR}/hearth.map)
  target_include_directories(hearth_shared INTERFACE include)
  target_link_libraries(hearth_shared PRIVATE ${HEARTH_LIBRARIES})
  target_link_options(hearth_shared PRIVATE
    -Wl,--version-script=${HEARTH_ONE_DIR}/hearth.map -Wl,-z,defs -Wl,--gc-sections)
endif()
