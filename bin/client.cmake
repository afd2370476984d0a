# SPDX-License-Identifier: MIT
# The command-line client. CLI11 and libedit stay in here; no library depends on them.
cleave_need_header(CLEAVE_CLI11_DIR CLI/CLI.hpp libcli11-dev)
cleave_need_module(CLEAVE_EDIT libedit libedit-dev)

file(GLOB client_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/client/*.cc)
add_executable(cleave cleave.cc ${client_sources})
target_include_directories(cleave SYSTEM PRIVATE ${CLEAVE_CLI11_DIR})
target_compile_definitions(cleave PRIVATE CLEAVE_VERSION="${PROJECT_VERSION}")
target_link_libraries(cleave PRIVATE cleave_flags cleave_core PkgConfig::CLEAVE_EDIT
                      PkgConfig::CLEAVE_XXHASH)
