# Finds every library through pkg-config and names, for all that are missing at once, the Debian package to install.

find_package(PkgConfig QUIET)
set(missing "")
if(NOT PkgConfig_FOUND)
  list(APPEND missing "pkg-config")
endif()

# quorate_need(PREFIX "pkg-config names, any of them" header debian-package): sets PkgConfig::PREFIX, or notes
# what is missing. Where pkg-config itself is missing, the header tells whether the package is there.
macro(quorate_need prefix names header package)
  if(PkgConfig_FOUND)
    pkg_search_module(${prefix} QUIET IMPORTED_TARGET ${names})
    if(NOT ${prefix}_FOUND)
      list(APPEND missing "${package}")
    endif()
  else()
    find_file(${prefix}_HEADER NAMES ${header} PATH_SUFFIXES lua5.4)
    if(NOT ${prefix}_HEADER)
      list(APPEND missing "${package}")
    endif()
  endif()
endmacro()

quorate_need(JANSSON "jansson>=2.10" jansson.h libjansson-dev)
quorate_need(SODIUM "libsodium>=1.0.18" sodium.h libsodium-dev)
quorate_need(NETTLE "nettle>=3.6" nettle/md5.h nettle-dev)
quorate_need(XXHASH "libxxhash>=0.8" xxhash.h libxxhash-dev)
if(QUORATE_LIVE)
  quorate_need(ZMQ "libzmq>=4.3" zmq.h libzmq3-dev)
endif()
if(QUORATE_LUA)
  # Exactly 5.4: a module for one version fails in another with an undefined symbol. Fedora calls the package lua.
  quorate_need(LUA "lua5.4;lua-5.4;lua54;lua>=5.4 lua<5.5" lua.h liblua5.4-dev)
endif()
if(QUORATE_TESTS)
  quorate_need(CMOCKA "cmocka>=1.1.5" cmocka.h libcmocka-dev)
endif()

if(QUORATE_PYTHON)
  if(CMAKE_VERSION VERSION_LESS 3.26)
    message(FATAL_ERROR "The Python extension needs CMake 3.26 or newer, this is ${CMAKE_VERSION}: "
                        "build it with `pip install .`, which brings one, or configure with -DQUORATE_PYTHON=OFF.")
  endif()
  find_package(Python 3.10 COMPONENTS Interpreter Development.SABIModule)
  if(NOT Python_Interpreter_FOUND)
    list(APPEND missing "python3")
  elseif(NOT Python_Development.SABIModule_FOUND)
    list(APPEND missing "python3-dev")
  endif()
endif()

if(missing)
  list(JOIN missing " " missing)
  set(hint "")
  if(missing MATCHES "libzmq3-dev")
    string(APPEND hint "\n  (-DQUORATE_LIVE=OFF builds without ZeroMQ: no live runtime then.)")
  endif()
  if(missing MATCHES "liblua5.4-dev")
    string(APPEND hint "\n  (-DQUORATE_LUA=OFF builds without the Lua module.)")
  endif()
  message(FATAL_ERROR "Quorate needs packages that are not here. On Debian:\n"
                      "  apt install ${missing}${hint}\n"
                      "Then configure again in a fresh build folder.")
endif()

# xxHash is used as a header only (base/hash.h asks it to inline everything).
add_library(quorate_dependencies INTERFACE)
target_include_directories(quorate_dependencies SYSTEM INTERFACE ${XXHASH_INCLUDE_DIRS})
find_package(Threads REQUIRED)
target_link_libraries(
  quorate_dependencies INTERFACE PkgConfig::JANSSON PkgConfig::SODIUM PkgConfig::NETTLE Threads::Threads m)
if(QUORATE_LIVE)
  target_link_libraries(quorate_dependencies INTERFACE PkgConfig::ZMQ)
endif()
