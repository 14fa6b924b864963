"""What a public call raises when it is given something that makes no sense: one of ours, with a sentence.

Nothing is looked at before a call, which would cost more than many calls do. Where one fails with an error of
Python's or of cffi's, its arguments are held against the annotations of its parameters; the first that does
not fit is named. What a callback of the user's raises goes through as it is.
"""

from __future__ import annotations

import collections.abc
import functools
import inspect
import os
import sys
import sysconfig
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from quorate.errors import ArgumentError, QuorateError, RangeError, WrongTypeError

_FOREIGN = (TypeError, ValueError, OverflowError, AttributeError, LookupError)
_SHOWN = 60  # characters of a value in a message
_LIBRARIES = (str(Path(__file__).parent), sysconfig.get_path("stdlib"), "<frozen")
_UNWATCHED = {"step"}  # looks at its argument itself: the call costs as much as a wrapper
_WORDS: dict[Any, str] = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    bool: "a truth value",
    type(None): "None",
    dict: "a dict",
    list: "a list",
    tuple: "a tuple",
    range: "a range",
    os.PathLike: "a path",
    Path: "a path",
    collections.abc.Callable: "a function",
    collections.abc.Mapping: "a mapping",
    collections.abc.Iterable: "an iterable",
    collections.abc.Sequence: "a sequence",
}


def watch(module: dict[str, Any]) -> None:
    """Watches what a module offers by ``__all__``."""
    for name in module["__all__"]:
        one = module[name]
        if inspect.isclass(one) and not issubclass(one, BaseException):
            watch_class(one)
        elif inspect.isfunction(one):
            module[name] = _watched(one, name)
            setattr(sys.modules[one.__module__], name, module[name])  # so that it can be pickled


def watch_class(one: type) -> None:
    """Watches what the class and its bases of ours offer, but not what users override."""
    for cls in one.__mro__:
        if not cls.__module__.startswith("quorate") or "_watched" in vars(cls):
            continue
        cls._watched = True  # type: ignore[attr-defined]
        for name, member in list(vars(cls).items()):
            if (name.startswith("_") and name != "__init__") or name.startswith("on_") or name in _UNWATCHED:
                continue
            shown = cls.__name__ if name == "__init__" else name
            if inspect.isfunction(member):
                setattr(cls, name, _watched(member, shown))
            elif isinstance(member, classmethod | staticmethod):
                setattr(cls, name, type(member)(_watched(member.__func__, shown)))


def _watched(function: Callable[..., Any], shown: str) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(*args: Any, **named: Any) -> Any:
            try:
                return await function(*args, **named)
            except QuorateError:
                raise
            except _FOREIGN as error:
                _explain(function, shown, args, named, error)

        return awaited

    @functools.wraps(function)
    def called(*args: Any, **named: Any) -> Any:
        try:
            return function(*args, **named)
        except QuorateError:
            raise
        except _FOREIGN as error:
            _explain(function, shown, args, named, error)

    return called


def _explain(
    function: Callable[..., Any],
    shown: str,
    args: tuple[Any, ...],
    named: dict[str, Any],
    error: Exception,
) -> NoReturn:
    """Raises what says which argument is wrong, or the error as it is."""
    try:
        given = inspect.signature(function).bind(*args, **named).arguments
    except TypeError:  # too many arguments, or too few: Python says that well
        raise error from None
    for name, value, wanted in _pairs(function, given):
        if not _fits(value, wanted):
            raise WrongTypeError(f"{shown} takes {_words(wanted)} as {name}, not {_show(value)}") from None
    if not _ours(error) or isinstance(error, AttributeError | LookupError | OSError):
        raise error
    if isinstance(error, OverflowError):
        raise RangeError(f"{shown}: a number is out of range: {error}") from error
    if isinstance(error, TypeError):
        raise WrongTypeError(f"{shown}: {error}") from error
    raise ArgumentError(f"{shown}: {error}") from error


def _pairs(function: Callable[..., Any], given: Mapping[str, Any]) -> Iterable[tuple[str, Any, Any]]:
    """Name, value and annotation of each argument whose annotation can be read."""
    for name, parameter in inspect.signature(function).parameters.items():
        written = parameter.annotation
        if name not in given or written is inspect.Parameter.empty:
            continue
        try:
            wanted = eval(written, function.__globals__) if isinstance(written, str) else written
        except NameError:  # imported for the type checker alone
            continue
        value = given[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            yield from ((key, one, wanted) for key, one in value.items())
        elif parameter.kind is parameter.VAR_POSITIONAL:
            yield from ((name, one, wanted) for one in value)
        else:
            yield name, value, wanted


def _ours(error: BaseException) -> bool:
    """Whether it came about in this package and what that calls, and not in a function of the user's."""
    at = error.__traceback__
    while at is not None:
        file = at.tb_frame.f_code.co_filename
        if not file.startswith(_LIBRARIES) and "site-packages" not in file:
            return False
        at = at.tb_next
    return True


def _fits(value: Any, wanted: Any) -> bool:
    """As far as can be seen without using it up."""
    if wanted is Any or isinstance(wanted, typing.TypeVar) or wanted is object:
        return True
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in parts)
    if origin is typing.Literal:
        return value in parts
    if wanted is float:
        return hasattr(value, "__float__") or (hasattr(value, "__index__") and not isinstance(value, type))
    if wanted is int:
        return hasattr(value, "__index__") and not isinstance(value, type)
    if wanted is None:
        return value is None
    kind = origin or wanted
    if kind is collections.abc.Callable:
        return callable(value)
    if not isinstance(kind, type):
        return True
    if kind is type:
        return isinstance(value, type)
    return isinstance(value, kind) and _all_fit(value, kind, parts)


def _all_fit(value: Any, kind: type, parts: tuple[Any, ...]) -> bool:
    if not parts or isinstance(value, str | bytes):
        return True
    if isinstance(value, collections.abc.Mapping):
        if len(parts) < 2:
            return all(_fits(key, parts[0]) for key in value)
        return all(_fits(key, parts[0]) and _fits(one, parts[1]) for key, one in value.items())
    if isinstance(value, tuple) and kind is tuple and Ellipsis not in parts:
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if isinstance(value, list | tuple | set | frozenset):
        return all(_fits(one, parts[0]) for one in value)
    return True


def _words(wanted: Any) -> str:
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (types.UnionType, typing.Union):
        words = list(dict.fromkeys(_words(part) for part in parts))
        return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
    if origin is typing.Literal:
        return " or ".join(map(repr, parts))
    kind = origin or wanted
    if wanted is None:
        return "None"
    word = _WORDS.get(kind, f"a {kind.__name__}" if isinstance(kind, type) else str(kind))
    of = [part for part in parts if part is not Ellipsis and part is not Any]
    if origin is type:
        return f"a class derived from {parts[0].__name__}" if inspect.isclass(parts[0]) else "a class"
    if of and kind in (list, tuple, collections.abc.Iterable, collections.abc.Sequence):
        return f"{word} of which each is {_words(of[0])}"
    return word


def _show(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        text = "something"
    text = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return f"{text} ({type(value).__name__})"
