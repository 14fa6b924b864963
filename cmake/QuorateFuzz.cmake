# One libFuzzer program for each tests/fuzz/*.c; ctest runs each for QUORATE_FUZZ_SECONDS (label fuzz). Inputs worth
# keeping lie in tests/fuzz/corpus/<name>; what a run finds new goes into the build folder.

file(GLOB fuzz_sources CONFIGURE_DEPENDS tests/fuzz/*.c)
foreach(source IN LISTS fuzz_sources)
  get_filename_component(name ${source} NAME_WE)
  if(NOT name MATCHES "^fuzz_")
    set(name fuzz_${name})
  endif()
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE quorate_objects quorate_warnings)
  target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  set(found ${CMAKE_BINARY_DIR}/fuzz/corpus-${name})
  file(MAKE_DIRECTORY ${found})
  set(corpus ${found})
  if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/tests/fuzz/corpus/${name})
    list(APPEND corpus ${CMAKE_CURRENT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  endif()
  add_test(NAME ${name} COMMAND ${name} -max_total_time=${QUORATE_FUZZ_SECONDS} -print_final_stats=1 ${corpus}
           WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/fuzz)
  math(EXPR limit "${QUORATE_FUZZ_SECONDS} + 120")
  set_tests_properties(${name} PROPERTIES LABELS fuzz TIMEOUT ${limit})
endforeach()
