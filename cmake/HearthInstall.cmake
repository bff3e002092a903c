# What `cmake --install` puts down: the header, the one archive, the shared library, the hearth command, and
# the two ways by which other projects find them: find_package(hearth) and pkg-config hearth. And packages of
# the same by CPack: cpack -G DEB --config <build>/CPackConfig.cmake.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

install(FILES include/hearth.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
if(TARGET hearth_one)
  install(FILES ${HEARTH_ONE_DIR}/libhearth.a DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET hearth_shared)
  install(TARGETS hearth_shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
if(TARGET hearth_command)
  install(TARGETS hearth_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()

# Libraries of the edges by the names that a linker takes, for the archive.
set(hearth_link "")
foreach(library IN LISTS HEARTH_LIBRARIES)
  if(library STREQUAL "Threads::Threads")
    string(APPEND hearth_link " -pthread")
  else()
    get_filename_component(name ${library} NAME_WE)
    string(REGEX REPLACE "^lib" "" name ${name})
    string(APPEND hearth_link " -l${name}")
  endif()
endforeach()
string(STRIP "${hearth_link}" hearth_link)
string(REPLACE " " ";" hearth_link_list "${hearth_link}")

file(CONFIGURE OUTPUT hearth.pc @ONLY CONTENT [[prefix=${pcfiledir}/../..
includedir=${prefix}/@CMAKE_INSTALL_INCLUDEDIR@
libdir=${prefix}/@CMAKE_INSTALL_LIBDIR@

Name: hearth
Description: CPU inference of language models and graphs of tensors
Version: @PROJECT_VERSION@
Cflags: -I${includedir}
Libs: -L${libdir} -lhearth
Libs.private: @hearth_link@
]])
file(CONFIGURE OUTPUT hearth-config.cmake @ONLY CONTENT [[# hearth::hearth is the archive, hearth::shared the shared library.
get_filename_component(hearth_prefix "${CMAKE_CURRENT_LIST_DIR}" REALPATH)
string(REGEX REPLACE "/@CMAKE_INSTALL_LIBDIR@/cmake/hearth$" "" hearth_prefix "${hearth_prefix}")
set(hearth_libdir "${hearth_prefix}/@CMAKE_INSTALL_LIBDIR@")
if(NOT TARGET hearth::hearth AND EXISTS "${hearth_libdir}/libhearth.a")
  add_library(hearth::hearth STATIC IMPORTED)
  set_target_properties(hearth::hearth PROPERTIES IMPORTED_LOCATION "${hearth_libdir}/libhearth.a"
    INTERFACE_INCLUDE_DIRECTORIES "${hearth_prefix}/@CMAKE_INSTALL_INCLUDEDIR@"
    INTERFACE_LINK_LIBRARIES "@hearth_link_list@")
endif()
if(NOT TARGET hearth::shared AND EXISTS "${hearth_libdir}/libhearth.so.@PROJECT_VERSION@")
  add_library(hearth::shared SHARED IMPORTED)
  set_target_properties(hearth::shared PROPERTIES IMPORTED_LOCATION "${hearth_libdir}/libhearth.so.@PROJECT_VERSION@"
    IMPORTED_SONAME "libhearth.so.@PROJECT_VERSION_MAJOR@"
    INTERFACE_INCLUDE_DIRECTORIES "${hearth_prefix}/@CMAKE_INSTALL_INCLUDEDIR@")
endif()
]])
write_basic_package_version_file(${PROJECT_BINARY_DIR}/hearth-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/hearth.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES ${PROJECT_BINARY_DIR}/hearth-config.cmake ${PROJECT_BINARY_DIR}/hearth-config-version.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/hearth)

set(CPACK_PACKAGE_NAME hearth)
set(CPACK_PACKAGE_VENDOR hearth)
set(CPACK_PACKAGE_CONTACT "the maintainers of hearth <hearth@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "CPU inference of language models and graphs of tensors")
set(CPACK_GENERATOR DEB)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
include(CPack)
