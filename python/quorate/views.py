"""What a cluster shows: verdicts, the trace, histories, the state of its nodes."""

from __future__ import annotations

from quorate import _report
from quorate._ffi import Handle, ffi, lib
from quorate.base import ClusterBase, node_id
from quorate.history import History
from quorate.progress import Progress
from quorate.results import CheckResult
from quorate.status import Status
from quorate.trace import Trace


class Views(ClusterBase):
    """The read-only half of a cluster."""

    def check(self, seconds: float = 60.0, memory: int = 0) -> CheckResult:
        """Judges everything up to now: each property of the protocol, and the linearizability of what clients
        saw.

        What cannot be decided within `seconds` of work and `memory` bytes (0: 256 MiB) is "unknown".
        """
        with self._handle.held(), Progress("check") as progress:
            elapsed = 0
            while self._call(lib.qrt_cluster_check, float(seconds), memory) == lib.QRT_MORE:
                elapsed += 1
                progress.update(elapsed * 0.02)
        return self._judgement()

    def _judgement(self) -> CheckResult:
        result = CheckResult.from_report(self._handle.json(lib.qrt_cluster_report))
        _report.note(result.hash, result.verdicts)
        return result

    @property
    def trace(self) -> Trace:
        """The events recorded so far: an immutable snapshot; see :class:`quorate.Trace`."""
        place = ffi.new("qrt_trace **")
        self._call(lib.qrt_cluster_trace, place)
        return Trace(Handle(place, lib.qrt_trace_free))

    def history(self) -> History:
        """What the clients asked and were told so far: a snapshot; see :class:`quorate.History`."""
        place = ffi.new("qrt_history **")
        self._call(lib.qrt_cluster_history, place)
        return History(Handle(place, lib.qrt_history_free))

    @property
    def hash(self) -> str:
        """The hash of all events so far, in hexadecimal; the same whatever is recorded.

        Zeros of a live cluster with ``record="none"`` and ``check=False``, which only counts its events.
        """
        place = ffi.new("uint64_t *")
        self._call(lib.qrt_cluster_hash, place, ffi.NULL)
        return f"{int(place[0]):016x}"

    @property
    def events(self) -> int:
        """How many events there were so far."""
        place = ffi.new("uint64_t *")
        self._call(lib.qrt_cluster_hash, ffi.NULL, place)
        return int(place[0])

    @property
    def fingerprint(self) -> int:
        """64 bits of the pure state, without absolute time: equal for a fork and its parent as long as both
        did the same.
        """
        return self._number(lib.qrt_cluster_fingerprint, "uint64_t")

    def status(self) -> Status:
        """Every node as it stands, the options, and why there is no leader."""
        return Status.from_report(self._handle.json(lib.qrt_cluster_status))

    @property
    def metrics(self) -> dict[str, int]:
        """What the network and the faults did so far, as counts: delivered, dropped, crashes, ..."""
        return dict(self.status().counts)

    def inspect(self, node: int) -> dict[str, str]:
        """The protocol's own fields of one node that is up. Raises NodeDownError, NotFoundError."""
        return dict(self._handle.json(lib.qrt_cluster_inspect, node_id(node)))

    @property
    def tracebacks(self) -> list[str]:
        """What the code of your own state machine or protocol has raised, in full."""
        own = list(self._machines.tracebacks) if self._machines else []
        return own + list(self._handle.json(lib.qrt_cluster_tracebacks))
