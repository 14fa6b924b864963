# make build   everything that use and tests need; afterwards .venv/bin/quorate works
# make test    build, then the C, Python and Lua tests
# make demo    the Python package, then the demo
# make lint | sanitize | tsan | fuzz | wheel | rock | bench | hostile | format | clean
#
# All of it is repeatable, and quick when nothing changed: what is done is remembered below build/stamps.
# The Python package is an editable install, so a change in python/ needs no build. The Lua files and module are
# installed into the prefix .venv (share/lua/5.4 and lib/lua/5.4), where `quorate run script.lua` looks for them.

.DEFAULT_GOAL := build
.NOTPARALLEL:
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

# Debian's own Python, so that python3-dev and python3-venv from packages.txt belong to it.
PYTHON ?= $(shell test -x /usr/bin/python3 && echo /usr/bin/python3 || echo python3)
JOBS ?= $(shell nproc)
# Continuous integration sets CI; others may have a newer compiler with newer warnings.
WERROR ?= $(if $(CI),ON,OFF)
CMAKE ?= cmake

# Where things are built; another pair gives a second, independent build of the same checkout.
VENV ?= .venv
BUILD ?= build
BIN := $(VENV)/bin
DEV := $(BUILD)/dev
STAMPS := $(BUILD)/stamps
CMAKE_DEV := -G Ninja -DQUORATE_TESTS=ON -DQUORATE_LUA=ON -DQUORATE_WERROR=$(WERROR)

extension_sources := pyproject.toml CMakeLists.txt core/include/quorate.h \
  $(shell find cmake bindings/python core/src core/node -type f 2>/dev/null)

.PHONY: build test demo bench hostile lint format sanitize tsan fuzz wheel rock clean system python c test-c test-python test-lua

build: python c

# --- System packages, virtual environment, Python package -----------------------------------------------------

system: $(STAMPS)/system
$(STAMPS)/system: packages.txt .ci/install-packages
	.ci/install-packages packages.txt
	@mkdir -p $(@D) && touch $@

$(STAMPS)/venv: $(STAMPS)/system pyproject.toml
	@echo "== a virtual environment in $(VENV), with what building needs"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Quorate needs Python 3.10 or newer, \
	this is " + sys.version.split()[0] + "; name another one: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check \
	  'scikit-build-core>=0.10' 'cffi>=1.17' 'cmake>=3.26' 'ninja>=1.10'
	@touch $@

# The C part goes to its own build folder, so that the next time only what changed is compiled.
editable = CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(BIN)/python -m pip install -q --disable-pip-version-check \
  --no-build-isolation --config-settings=build-dir=$(BUILD)/python \
  --config-settings=cmake.define.QUORATE_WERROR=$(WERROR)

python: $(STAMPS)/python
$(STAMPS)/python: $(STAMPS)/venv $(extension_sources)
	@echo "== the Python package: silent, and some minutes the first time"
	$(editable) -e '.[test]'
	@touch $@

$(STAMPS)/dev-tools: $(STAMPS)/python pyproject.toml
	$(editable) -e '.[test,dev]'
	@touch $@

# --- The C library, its tests and the Lua module --------------------------------------------------------------

$(STAMPS)/configured-$(WERROR): $(STAMPS)/system
	$(CMAKE) -S . -B $(DEV) $(CMAKE_DEV) >$(STAMPS)/configure.log || { cat $(STAMPS)/configure.log; exit 1; }
	@rm -f $(STAMPS)/configured-*; touch $@

c: $(STAMPS)/configured-$(WERROR) $(STAMPS)/venv
	@echo "== the C library, its tests and the Lua module"
	$(CMAKE) --build $(DEV) -j $(JOBS)
	@$(CMAKE) --install $(DEV) --component lua --prefix $(VENV) >/dev/null

# --- Tests ----------------------------------------------------------------------------------------------------

test: build test-c test-python test-lua

test-c: c
	ctest --test-dir $(DEV) --output-on-failure --no-tests=ignore -j $(JOBS)

test-python: python c
	QUORATE_BUILD=$(abspath $(DEV)) $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

# The Lua files from the source, the module from the build, LuaUnit from Debian.
test-lua: c
	@shopt -s nullglob; for file in tests/lua/test_*.lua; do \
	  echo "lua5.4 $$file"; \
	  LUA_PATH='lua/?.lua;lua/?/init.lua;tests/lua/?.lua;;' LUA_CPATH='$(DEV)/lua/?.so;;' lua5.4 $$file; \
	done

# Without the C tests and the Lua module, so that the first look does not wait for them.
demo: python
	$(BIN)/quorate demo

# A long storm of random frames from a peer with an allowed key; the tests have a short one.
HOSTILE_FRAMES ?= 10000000
hostile: c
	QUORATE_HOSTILE_FRAMES=$(HOSTILE_FRAMES) $(DEV)/tests/test_live_hostile

bench: build
	$(BIN)/quorate bench sim

# --- Style ----------------------------------------------------------------------------------------------------

c_files = $(shell find core tests bindings bench examples -name '*.[ch]' 2>/dev/null)
lua_files = $(shell find lua tests examples -name '*.lua' 2>/dev/null)

# Every linter has its say before the first failure ends it.
lint: $(STAMPS)/dev-tools
	.ci/install-packages .ci/packages.txt
	@failed=0; try() { echo "== $${1##*/}"; "$$@" || failed=1; }; \
	try $(BIN)/ruff check -q .; \
	try $(BIN)/mypy; \
	try clang-format --dry-run --Werror $(c_files); \
	[[ -z "$(lua_files)" ]] || try luacheck -q $(lua_files); \
	exit $$failed

format: $(STAMPS)/dev-tools
	$(BIN)/ruff check -q --fix .
	clang-format -i $(c_files)

# --- Other builds ---------------------------------------------------------------------------------------------

other_build = CC=$(1) $(CMAKE) -S . -B $(BUILD)/$(2) -G Ninja -DQUORATE_WERROR=$(WERROR) -DQUORATE_LUA=OFF $(3) >/dev/null \
  && $(CMAKE) --build $(BUILD)/$(2) -j $(JOBS)

sanitize: system
	$(call other_build,gcc,sanitize,-DQUORATE_TESTS=ON -DQUORATE_SANITIZE=address$(,)undefined)
	ctest --test-dir $(BUILD)/sanitize --output-on-failure -j $(JOBS)

# Debian's libzmq is not built with ThreadSanitizer; without these options it gives false reports.
tsan: system
	$(call other_build,clang,tsan,-DQUORATE_TESTS=ON -DQUORATE_SANITIZE=thread)
	TSAN_OPTIONS='ignore_noninstrumented_modules=1 halt_on_error=1 suppressions=$(CURDIR)/tests/tsan.suppressions' \
	  setarch -R ctest --test-dir $(BUILD)/tsan --output-on-failure --no-tests=ignore -L live

FUZZ_SECONDS ?= 60
fuzz: system
	$(call other_build,clang,fuzz,-DQUORATE_FUZZ=ON -DQUORATE_FUZZ_SECONDS=$(FUZZ_SECONDS))
	ctest --test-dir $(BUILD)/fuzz --output-on-failure --no-tests=ignore -L fuzz

# A wheel for other Linux systems, in dist/: it carries its libraries, is checked, installed elsewhere and run there.
wheel: $(STAMPS)/dev-tools
	.ci/install-packages packaging/packages.txt
	JOBS=$(JOBS) packaging/lean-libzmq $(BUILD)/lean
	rm -rf dist
	CMAKE_BUILD_PARALLEL_LEVEL=$(JOBS) $(BIN)/python packaging/make_wheel.py $(BUILD)/lean dist
	$(BIN)/python bindings/python/check_wheel.py dist/*.whl
	$(PYTHON) packaging/prove_wheel.py dist/*.whl

# The Lua module as a rock, built by LuaRocks into a tree of its own and run there.
rock: system
	.ci/install-packages packaging/packages.txt
	JOBS=$(JOBS) packaging/prove-rock $(BUILD)/rocks

clean:
	rm -rf $(BUILD) dist $(VENV)

, := ,
