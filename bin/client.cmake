# SPDX-License-Identifier: MIT
# The command-line client. CLI11 and libedit stay in here; no library depends on them.
file(GLOB client_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/client/*.cc)
cleave_program_part(cleave_parts ${client_sources})
target_include_directories(cleave_parts SYSTEM PRIVATE ${CLEAVE_CLI11_DIR})
target_link_libraries(cleave_parts PRIVATE PkgConfig::CLEAVE_EDIT)

add_executable(cleave cleave.cc)
target_compile_definitions(cleave PRIVATE CLEAVE_VERSION="${PROJECT_VERSION}")
target_include_directories(cleave SYSTEM PRIVATE ${CLEAVE_CLI11_DIR})
target_link_libraries(cleave PRIVATE cleave_flags cleave_parts)
