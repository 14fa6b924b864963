"""Failure detectors on a user's own arrival times, without a cluster. Times are seconds.

>>> d = q.PhiDetector(threshold=8)
>>> for t in arrivals:
...     d.observe(t)
>>> d.suspicion(now), d.suspected(now)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quorate._arrays import Given, Made
from quorate._ffi import NEVER, Handle, bytes_at, c_text, error_of, ffi, lib
from quorate.base import option_array
from quorate.errors import ArgumentError
from quorate.mixture import GaussianMixture

__all__ = [
    "BertierDetector",
    "Detector",
    "MixtureDetector",
    "NfdEDetector",
    "NfdSDetector",
    "Opinions",
    "PhiDetector",
    "PhiExponentialDetector",
    "PollingDetector",
    "ThresholdDetector",
    "TimeoutDetector",
    "phi",
]


@dataclass(frozen=True)
class Opinions:
    """Read-only arrays, one entry a time: how suspicious (float64), and whether suspected (bool)."""

    suspicion: Any
    suspected: Any


def seconds_ns(seconds: float) -> int:
    place = ffi.new("int64_t *")
    check(lib.qrt_seconds_to_ns(ffi.new("double *", float(seconds)), 1, place))
    return int(place[0])


def many_ns(times: Any) -> tuple[Any, int, object]:
    given = Given(times, "d")
    made = Made("q", given.count)
    check(lib.qrt_seconds_to_ns(given.pointer, given.count, made.pointer))
    return made.pointer, given.count, made


def check(status: int) -> None:
    if status < 0:
        raise error_of(status)


class Detector:
    """Any detector by name: "timeout", "polling", "phi", "phi-exponential", "nfd-s", "nfd-e", "bertier",
    "threshold"; ``q.detector_options("phi")`` lists the options of one.

    An unknown option raises OptionError and names the nearest; a time that runs backwards raises
    ArgumentError.
    """

    _handle: Handle

    def __init__(self, kind: str, **options: Any) -> None:
        given = option_array({name: value for name, value in options.items() if value is not None})
        make, free = lib.qrt_detector_new, lib.qrt_detector_free
        self._handle = Handle.make("detector", free, make, c_text(kind), given, len(given))
        self.kind = kind

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the detector; again is harmless."""
        self._handle.close()

    def observe(self, time: float, value: float = math.nan) -> None:
        """An arrival; `value` is the heartbeat's number where the kind counts them (default: the next)."""
        self._handle.call(lib.qrt_detector_observe, seconds_ns(time), float(value))

    def observe_many(self, times: Any, values: Any = None) -> Opinions:
        """Many arrivals at once. The opinions are those just before each arrival (threshold: of the sample
        itself)."""
        pointer, count, _keep = many_ns(times)
        numbers = None if values is None else Given(values, "d")
        if numbers is not None and numbers.count != count:
            raise ArgumentError(f"{count} times and {numbers.count} values: there must be as many")
        suspicion, suspected = Made("d", count), Made("B", count)
        given = ffi.NULL if numbers is None else numbers.pointer
        self._handle.call(
            lib.qrt_detector_observe_many,
            pointer,
            given,
            count,
            suspicion.pointer,
            suspected.pointer,
            ffi.NULL,
        )
        return Opinions(suspicion.result(), suspected.result("bool"))

    def evaluate_many(self, times: Any) -> Opinions:
        """The opinions at many times, if nothing more arrives."""
        pointer, count, _keep = many_ns(times)
        suspicion, suspected = Made("d", count), Made("B", count)
        self._handle.call(
            lib.qrt_detector_evaluate_many, pointer, count, suspicion.pointer, suspected.pointer
        )
        return Opinions(suspicion.result(), suspected.result("bool"))

    def suspicion(self, now: float) -> float:
        """How suspicious at `now`: phi; else elapsed over allowed time, a sample over its limit, a
        probability."""
        place = ffi.new("double *")
        self._handle.call(lib.qrt_detector_evaluate, seconds_ns(now), place, ffi.NULL)
        return float(place[0])

    def suspected(self, now: float) -> bool:
        """Whether it suspects at `now`."""
        place = ffi.new("bool *")
        self._handle.call(lib.qrt_detector_evaluate, seconds_ns(now), ffi.NULL, place)
        return bool(place[0])

    def poll(self, now: float) -> bool:
        """As `suspected`; a phi-exponential detector also notices that it was not asked for long (a local
        pause)."""
        place = ffi.new("bool *")
        self._handle.call(lib.qrt_detector_poll, seconds_ns(now), place)
        return bool(place[0])

    @property
    def deadline(self) -> float | None:
        """From when on it suspects if nothing more arrives; None: never."""
        place = ffi.new("int64_t *")
        self._handle.call(lib.qrt_detector_deadline, place)
        return None if place[0] == NEVER else place[0] / 1e9

    def copy(self) -> Detector:
        """A detector of its own in the same state."""
        twin = object.__new__(type(self))
        place = ffi.new("qrt_detector **")
        self._handle.call(lib.qrt_detector_clone, place)
        twin._handle = Handle(place, lib.qrt_detector_free)
        twin.kind = self.kind
        return twin

    def fingerprint(self, now: float) -> int:
        """64 bits, equal for detectors that will think alike at the same distances from now."""
        place = ffi.new("uint64_t *")
        self._handle.call(lib.qrt_detector_fingerprint, seconds_ns(now), place)
        return int(place[0])

    def save(self) -> bytes:
        """Its options and state; :meth:`load` makes it again."""
        data, size = ffi.new("const uint8_t **"), ffi.new("size_t *")
        with self._handle.held():  # the bytes are the detector's until its next call
            self._handle.call(lib.qrt_detector_save, data, size)
            return bytes_at(data[0], size[0])

    @staticmethod
    def load(saved: bytes) -> Detector:
        """Raises CorruptError for bytes that are no whole saved detector."""
        detector = object.__new__(Detector)
        detector._handle = Handle.make(
            "detector", lib.qrt_detector_free, lib.qrt_detector_load, saved, len(saved)
        )
        detector.kind = "loaded"
        return detector


class TimeoutDetector(Detector):
    """Silence of a fixed time. Options: timeout, or interval and nodes for the rule timeout = interval x
    nodes."""

    def __init__(self, **options: Any) -> None:
        super().__init__("timeout", **options)


class PollingDetector(Detector):
    """Pings and their answers: `ping(t)` starts a timer, `observe(t)` is an answer. Options as
    TimeoutDetector's."""

    def __init__(self, **options: Any) -> None:
        super().__init__("polling", **options)

    def ping(self, time: float) -> None:
        """A ping leaves; the timer runs from the oldest unanswered one."""
        self._handle.call(lib.qrt_detector_ping, seconds_ns(time))


@dataclass(frozen=True)
class Window:
    """The intervals that a phi detector remembers: seconds, and seconds squared."""

    count: int
    mean: float
    variance: float


class PhiDetector(Detector):
    """Phi accrual with normal intervals, Akka's logistic form. Options: threshold, window, min_deviation,
    pause, first_interval, learn_late."""

    def __init__(self, **options: Any) -> None:
        super().__init__("phi", **options)

    @property
    def window(self) -> Window:
        """What was learnt so far. Raises ArgumentError while nothing was."""
        count, mean, variance = ffi.new("size_t *"), ffi.new("double *"), ffi.new("double *")
        self._handle.call(lib.qrt_detector_window, count, mean, variance)
        return Window(count[0], mean[0] / 1e9, variance[0] / 1e18)


class PhiExponentialDetector(PhiDetector):
    """Phi accrual with exponential intervals, as Cassandra. Options: threshold, window, interval,
    max_interval, local_pause."""

    def __init__(self, **options: Any) -> None:
        Detector.__init__(self, "phi-exponential", **options)


class NfdSDetector(Detector):
    """Chen's NFD-S: the sender's clock is known. Options: interval, shift, origin."""

    def __init__(self, **options: Any) -> None:
        super().__init__("nfd-s", **options)


class NfdEDetector(Detector):
    """Chen's NFD-E: the expected arrival is estimated. Options: interval, shift, window."""

    def __init__(self, **options: Any) -> None:
        super().__init__("nfd-e", **options)


class BertierDetector(Detector):
    """Chen's estimate and Jacobson's margin. Options: interval, window, gamma, beta, phi."""

    def __init__(self, **options: Any) -> None:
        super().__init__("bertier", **options)


class ThresholdDetector(Detector):
    """Any sampled metric against alpha x parameter + beta. Options: alpha, parameter, beta, hysteresis,
    below."""

    def __init__(self, **options: Any) -> None:
        super().__init__("threshold", **options)

    def set_parameter(self, parameter: float) -> None:
        """Changes what alpha multiplies: a number of nodes, a load."""
        self._handle.call(lib.qrt_detector_set_parameter, float(parameter))


class MixtureDetector(Detector):
    """Suspects when a fitted and labelled :class:`GaussianMixture` gives a failure probability of
    `threshold`."""

    def __init__(self, mixture: GaussianMixture, threshold: float = 0.5) -> None:
        place = ffi.new("qrt_detector **")
        with mixture._handle.held() as pointer:
            status = lib.qrt_detector_of_mixture(place, pointer, float(threshold))
            if status < 0:  # told by the mixture, or, of the threshold, by the thread
                raise error_of(status, pointer if lib.qrt_last_status(pointer) < 0 else ffi.NULL)
        self._handle = Handle(place, lib.qrt_detector_free)
        self.kind = "mixture"

    def observe_sample(self, time: float, sample: Sequence[float]) -> None:
        """A vector of the mixture's dimensions."""
        given = Given(sample, "d")
        self._handle.call(lib.qrt_detector_observe_vector, seconds_ns(time), given.pointer, given.count)


def phi(elapsed: float, mean: float, deviation: float | None = None) -> float:
    """The bare formula: normal intervals with a deviation, exponential ones without."""
    if deviation is None:
        return float(lib.qrt_phi_exponential(elapsed, mean))
    return float(lib.qrt_phi_normal(elapsed, mean, deviation))
