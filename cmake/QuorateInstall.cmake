# Installs the library, its header, the pkg-config file and the CMake package.

include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/quorate)

install(TARGETS quorate EXPORT quorate_targets COMPONENT core LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES core/include/quorate.h COMPONENT core DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT quorate_targets NAMESPACE quorate:: COMPONENT core FILE quorate-targets.cmake
        DESTINATION ${package_folder})
configure_package_config_file(
  cmake/quorate-config.cmake.in ${CMAKE_CURRENT_BINARY_DIR}/quorate-config.cmake
  INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
  ${CMAKE_CURRENT_BINARY_DIR}/quorate-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/quorate-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/quorate-config-version.cmake
        COMPONENT core DESTINATION ${package_folder})

# The prefix is found from the place of the file, so that `cmake --install --prefix` may choose another.
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/quorate.pc.in ${CMAKE_CURRENT_BINARY_DIR}/quorate.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/quorate.pc COMPONENT core
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
