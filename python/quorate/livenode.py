"""Nodes of a live cluster that run a class of your own: each is an interpreter of its own.

The cluster's process packs the class once (`pack`); every interpreter that it starts, the first time and
after each crash, unpacks it and becomes the node (`main`). A class of a module that can be imported travels
as its name, and the module is imported anew. A class of ``__main__`` or of a notebook has no such name; it
travels by value, with the functions and globals that it uses. That is what cloudpickle does (the library by
which Dask, Spark and joblib do it): ``pip install quorate[live]``. Reading the source by `inspect` would lose
the globals, and running ``__main__`` a second time would run the experiment a second time.
"""

from __future__ import annotations

import linecache
import os
import pickle
import sys
import traceback
from types import ModuleType
from typing import Any

from quorate._ffi import encode, ffi, lib
from quorate.errors import UnsupportedError, UsageError
from quorate.machine import _explain

_CARGO = "/proc/self/fd/7"


class Launch:
    """What a cluster needs to start a node's interpreter: a command line, and the packed class."""

    def __init__(self, kind: type) -> None:
        if not sys.executable:
            raise UnsupportedError(
                "a live cluster of scripts starts Python again, and this one cannot say where it is"
            )
        path = [os.path.abspath(place) for place in sys.path]
        begin = f"import sys; sys.path[:] = {path!r}; from quorate.livenode import main; main()"
        words = [sys.executable, "-u", *["-O"] * sys.flags.optimize, "-c", begin]
        self._words = [ffi.new("char[]", encode(word)) for word in words]
        self.argv = ffi.new("char *[]", [*self._words, ffi.NULL])
        self.bytes = pickle.dumps({"class": pack(kind), "lines": _lines(kind)})
        self.cargo = ffi.from_buffer("uint8_t[]", self.bytes)


def pack(kind: type) -> bytes:
    """The class as bytes that another interpreter can unpack with pickle."""
    module = sys.modules.get(kind.__module__)
    importable = "." not in kind.__qualname__ and _importable(module)
    if importable:
        return pickle.dumps(kind)
    try:
        import cloudpickle
    except ImportError:
        raise UnsupportedError(
            f"the class {kind.__name__} of {kind.__module__} cannot be imported by the interpreters of a "
            "live cluster's nodes: put it into a module, or install what packs it: pip install cloudpickle"
        ) from None
    by_value = module is not None and module.__name__ != "__main__" and not _importable(module)
    if by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(kind))
    except Exception as error:
        raise UsageError(
            f"the class {kind.__name__} cannot be handed to the interpreters of a live cluster: {error}"
        ) from error
    finally:
        if by_value:
            cloudpickle.unregister_pickle_by_value(module)


def _importable(module: ModuleType | None) -> bool:
    """Whether another interpreter with the same path finds the same file under its name."""
    if module is None or module.__name__ == "__main__":
        return False
    parent = module.__name__.rpartition(".")[0]
    if parent and not _importable(sys.modules.get(parent)):
        return False
    places = getattr(sys.modules[parent], "__path__", None) if parent else None
    for finder in sys.meta_path:
        spec = finder.find_spec(module.__name__, places)
        if spec is not None:
            return spec.origin == getattr(module, "__file__", None)
    return False


def _lines(kind: type) -> dict[str, list[str]]:
    """The source lines of its handlers that stand in no file (a notebook's cells), for tracebacks."""
    found = {}
    for value in vars(kind).values():
        code = getattr(value, "__code__", None)
        name = getattr(code, "co_filename", "")
        if name and not os.path.exists(name):
            found[name] = linecache.getlines(name)
    return found


def _unpack() -> Any:
    with open(_CARGO, "rb") as file:
        cargo = pickle.load(file)
    for name, lines in cargo["lines"].items():
        linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
    return pickle.loads(cargo["class"])


def main() -> None:
    """Makes this interpreter a node; it is one until the cluster's process ends it."""
    from quorate.scripts import Scripts

    try:
        scripts = Scripts(_unpack())
    except BaseException as error:
        lib.qrt_node_traceback(encode("".join(traceback.format_exception(error))))
        lib.qrt_node_fail(encode(_explain("loading the class", error)))
        os._exit(1)
    scripts.apart = True
    os._exit(lib.qrt_node_main(scripts.struct))
