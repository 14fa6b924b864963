-- The Lua module, built from a checkout: `luarocks --lua-version 5.4 make` in this folder. CMake does the work and names
-- the system packages that are missing; the program quorate-node, which live clusters need, goes into the rocks' bin.
rockspec_format = "3.0"
package = "quorate"
version = "scm-1"
source = {
   url = "git+file://.", -- not published: it is built where the sources are
}
description = {
   summary = "Build a cluster out of fault-tolerance protocols, propose values, break it on purpose, get a verdict",
   detailed = [[
Raft, Paxos, atomic commit, elections and others behind one interface, simulated in virtual time or live over ZeroMQ;
faults by hand, by plan or by campaign; checkers that judge every event.]],
   license = "Apache-2.0",
   labels = { "distributed", "consensus", "simulation", "testing" },
}
supported_platforms = { "linux" }
dependencies = {
   "lua >= 5.4, < 5.5",
}
external_dependencies = {
   JANSSON = { header = "jansson.h" },
   SODIUM = { header = "sodium.h" },
   NETTLE = { header = "nettle/md5.h" },
   XXHASH = { header = "xxhash.h" },
   ZMQ = { header = "zmq.h" },
}
build = {
   type = "command",
   build_command = "cmake -S . -B build/rock -DCMAKE_BUILD_TYPE=Release -DQUORATE_LUA=ON"
      .. " -DQUORATE_LUA_CDIR=$(LIBDIR) -DQUORATE_LUA_DIR=$(LUADIR) -DQUORATE_LUA_BINDIR=$(BINDIR)"
      .. " && cmake --build build/rock --parallel --target quorate_lua quorate-node",
   install_command = "cmake --install build/rock --component lua",
   copy_directories = {},
}
