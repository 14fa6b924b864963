# One cmocka executable for each tests/core/test_*.c. They link the objects, so they see the internal headers and
# what the library hides. Labels go by name: test_live* run on the ZeroMQ runtime (ctest -L live), test_determinism*
# also on other machines (ctest -L determinism).

file(GLOB test_sources CONFIGURE_DEPENDS tests/core/test_*.c)
file(GLOB test_support CONFIGURE_DEPENDS tests/core/support/*.c)
if(NOT QUORATE_LIVE)
  list(FILTER test_sources EXCLUDE REGEX "/test_live[^/]*$")
  list(FILTER test_support EXCLUDE REGEX "/live_[^/]*$")
endif()

# The core and the tests' own helpers, once, for all test programs.
add_library(quorate_test_objects STATIC $<TARGET_OBJECTS:quorate_objects> ${test_support})
target_link_libraries(quorate_test_objects PUBLIC quorate_flags quorate_dependencies PRIVATE quorate_warnings)
target_include_directories(
  quorate_test_objects PUBLIC core/src core/include tests/core)
target_link_libraries(quorate_test_objects PUBLIC PkgConfig::CMOCKA)
target_compile_definitions(quorate_test_objects PUBLIC QUORATE_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")
if(QUORATE_LIVE)
  target_compile_definitions(quorate_test_objects PUBLIC QRT_HAVE_LIVE=1)
endif()
set_target_properties(quorate_test_objects PROPERTIES LINKER_LANGUAGE C)

foreach(source IN LISTS test_sources)
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE quorate_test_objects quorate_warnings)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set(label core)
  if(name MATCHES "^test_live")
    set(label live)
  elseif(name MATCHES "^test_determinism")
    set(label core determinism)
  endif()
  set_tests_properties(${name} PROPERTIES LABELS "${label}" TIMEOUT 300)
endforeach()
if(TEST test_live_sleep)
  set_tests_properties(test_live_sleep PROPERTIES RUN_SERIAL ON) # it looks at which thread has a processor to itself
endif()
