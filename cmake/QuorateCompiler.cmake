# The language, the build type and the flags that every part shares.

include(CheckLanguage)
check_language(C)
if(NOT CMAKE_C_COMPILER)
  message(FATAL_ERROR "There is no C compiler here. On Debian: apt install gcc libc6-dev")
endif()

# Release keeps the assertions, so it must not define NDEBUG.
set(CMAKE_C_FLAGS_RELEASE "-O3 -g1" CACHE STRING "Flags for Release builds")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g" CACHE STRING "Flags for RelWithDebInfo builds")
enable_language(C)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "Build type" FORCE)
endif()

set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# A trace must not depend on the compiler: no contraction into fused operations, and square root is the
# processor's instruction (it needs no errno). Nobody replaces our functions at load time either.
add_library(quorate_flags INTERFACE)
target_compile_definitions(quorate_flags INTERFACE _GNU_SOURCE)
target_compile_options(quorate_flags INTERFACE -ffp-contract=off -fno-math-errno -fno-semantic-interposition)
target_link_options(quorate_flags INTERFACE -Wl,--as-needed)

add_library(quorate_warnings INTERFACE)
target_compile_options(quorate_warnings INTERFACE -Wall -Wextra -Wconversion -Wshadow -Wswitch-enum -Wno-missing-field-initializers)
if(QUORATE_WERROR)
  target_compile_options(quorate_warnings INTERFACE -Werror)
endif()

if(QUORATE_FUZZ)
  if(NOT CMAKE_C_COMPILER_ID MATCHES Clang)
    message(FATAL_ERROR "The fuzz targets need clang: CC=clang cmake -DQUORATE_FUZZ=ON ...")
  endif()
  if(NOT QUORATE_SANITIZE)
    set(QUORATE_SANITIZE "address,undefined")
  endif()
  target_compile_options(quorate_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(QUORATE_SANITIZE)
  set(sanitize -fsanitize=${QUORATE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(quorate_flags INTERFACE ${sanitize})
  target_link_options(quorate_flags INTERFACE ${sanitize})
endif()

# The hot path crosses many files, so Release optimises across them; other builds link faster without.
if(QUORATE_LTO AND CMAKE_BUILD_TYPE STREQUAL Release AND NOT QUORATE_SANITIZE)
  include(CheckIPOSupported)
  check_ipo_supported(RESULT lto_works LANGUAGES C)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${lto_works})
  if(NOT lto_works)
    message(STATUS "This compiler cannot optimise across files here; going on without")
  endif()
endif()
