"""Ends a handler of a script that never comes back.

A thread looks at the Python frames twice a second; a handler that is still the same call after its class's
`time_limit` gets :class:`EndlessLoop` raised in it, which crashes its node as any exception does. So a step
costs nothing to watch. Between two looks no more than 0.75 s counts: while a process is stopped, or its
machine sleeps, no handler is at anything. A loop without end is cut at the same event on every run; a handler
that merely takes about as long as the limit may or may not be. What waits inside a C function is cut when it
comes back.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
import weakref
from types import CodeType, FrameType
from typing import Any

_PERIOD = 0.5  # seconds between two looks
_COUNTED = 0.75  # of what has passed between two, at most

HANDLERS: frozenset[CodeType] = frozenset()  # of the callbacks under which handlers run
_watched: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()
_thread: threading.Thread | None = None


class EndlessLoop(BaseException):
    """A handler took longer than its class's `time_limit`."""


def watch(scripts: Any) -> None:
    """Watches the handlers of this process for as long as that lives."""
    global _thread
    with _lock:
        _watched.add(scripts)
        if _thread is None or not _thread.is_alive():
            _thread = threading.Thread(target=_look, name="quorate-watchdog", daemon=True)
            _thread.start()


def _look() -> None:
    """Until there is nothing left to watch."""
    since: dict[int, tuple[FrameType, float]] = {}
    counted, looked = 0.0, time.monotonic()
    while True:
        time.sleep(_PERIOD)
        with _lock:
            if not len(_watched):
                return
            limit = min((s.kind.time_limit for s in _watched), default=10.0)
        now = time.monotonic()
        counted, looked = counted + min(now - looked, _COUNTED), now
        since = _judge(since, limit, counted)


def _judge(since: dict[int, tuple[FrameType, float]], limit: float, now: float) -> dict[int, Any]:
    """Which call each thread is in, and since when; raises in those that are late."""
    found = {}
    for thread, frame in sys._current_frames().items():
        call = _callback(frame)
        if call is None:
            continue
        began = since[thread][1] if thread in since and since[thread][0] is call else now
        if now - began >= limit:
            error = ctypes.py_object(EndlessLoop)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error)
            began = now
        found[thread] = (call, began)
    return found


def _callback(frame: FrameType | None) -> FrameType | None:
    """The callback's frame that the thread is in, if it is in one."""
    while frame is not None and frame.f_code not in HANDLERS:
        frame = frame.f_back
    return frame
