# SPDX-License-Identifier: MIT
# The programs as others meet them: tests in Python, with its standard library alone.
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)
foreach(name interop cleave)
  add_test(NAME python_${name}
           COMMAND Python3::Interpreter -B ${CMAKE_CURRENT_LIST_DIR}/${name}_test.py)
  set_tests_properties(python_${name} PROPERTIES TIMEOUT 900 ENVIRONMENT
                       CLEAVE_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY})
endforeach()
