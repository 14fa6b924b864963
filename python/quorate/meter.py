"""The quality of service of failure detectors, measured over a trace or computed from theory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from quorate._arrays import Given
from quorate._ffi import NEVER, Handle, ffi, lib
from quorate.detect import Detector, check, many_ns, seconds_ns
from quorate.errors import ArgumentError


@dataclass(frozen=True)
class Quality:
    """The quality of service of a detector (Chen, Toueg and Aguilera, 2002), in seconds; NaN where there were
    too few mistakes to tell: time to detect the crash (T_D), between mistakes (T_MR), how long one lasts
    (T_M), the share of time the peer was rightly trusted (P_A), mistakes a second (lambda_M)."""

    detection: float
    recurrence: float
    duration: float
    accuracy: float
    rate: float
    mistakes: int
    detected: bool


def _quality(place: Any) -> Quality:
    return Quality(
        place.detection,
        place.recurrence,
        place.duration,
        place.accuracy,
        place.rate,
        place.mistakes,
        place.detected,
    )


def measure(
    detector: Detector,
    times: Any,
    values: Any = None,
    *,
    end: float,
    begin: float | None = None,
    crash: float | None = None,
) -> Quality:
    """Feeds arrivals to the detector and measures its opinions, exactly, from `begin` (the first arrival) to
    `end`."""
    pointer, count, _keep = many_ns(times)
    if not count:
        raise ArgumentError("there are no arrivals to measure a detector on")
    numbers = None if values is None else Given(values, "d")
    if numbers is not None and numbers.count != count:
        raise ArgumentError(f"{count} times and {numbers.count} values: there must be as many")
    start = pointer[0] if begin is None else seconds_ns(begin)
    meter = _meter(start, crash)
    with detector._handle.held() as d:
        meter.call(lib.qrt_meter_run, d, pointer, ffi.NULL if numbers is None else numbers.pointer, count)
        meter.call(lib.qrt_meter_finish, d, seconds_ns(end))
    return _read(meter, end)


def measure_opinions(
    times: Any,
    suspected: Iterable[object],
    *,
    end: float,
    begin: float | None = None,
    crash: float | None = None,
) -> Quality:
    """The same of a detector of your own: at ``times[i]`` (seconds) it begins to suspect the peer, or to
    trust it, as ``suspected[i]`` says; before, it trusts."""
    pointer, count, _keep = many_ns(times)
    opinions = [bool(opinion) for opinion in suspected]
    if len(opinions) != count:
        raise ArgumentError(f"{count} times and {len(opinions)} opinions: there must be as many")
    if begin is None and not count:
        raise ArgumentError("there are no opinions to measure; begin= says from when on there were none")
    meter = _meter(pointer[0] if begin is None else seconds_ns(begin), crash)
    for i, opinion in enumerate(opinions):
        meter.call(lib.qrt_meter_opinion, pointer[i], opinion)
    return _read(meter, end)


def _meter(start: int, crash: float | None) -> Handle:
    return Handle.make(
        "meter", lib.qrt_meter_free, lib.qrt_meter_new, start, NEVER if crash is None else seconds_ns(crash)
    )


def _read(meter: Handle, end: float) -> Quality:
    place = ffi.new("qrt_quality *")
    meter.call(lib.qrt_meter_read, seconds_ns(end), place)
    meter.close()
    return _quality(place)


def nfd_quality(interval: float, shift: float, loss: float, delay_mean: float) -> Quality:
    """What NFD-S attains with losses and exponentially distributed delays: theorem 5 of Chen, Toueg and
    Aguilera."""
    place = ffi.new("qrt_quality *")
    check(lib.qrt_nfd_quality(interval, shift, loss, delay_mean, place))
    return _quality(place)
