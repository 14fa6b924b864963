"""Clusters of nodes that were started by hand, each on its host: a client's side of them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from quorate._ffi import Handle, c_text, encode, ffi, lib, library_text
from quorate._json import written
from quorate.base import node_id, whole
from quorate.client import Client, Value
from quorate.cluster import Cluster
from quorate.plan import directive

Path = str | os.PathLike[str]


@dataclass(frozen=True)
class NodeEvent:
    """One event that a node has seen: its `number` in that node's trace, `time` in seconds since 1970 by that
    host's clock, `kind`, and `text`, the line for people.
    """

    number: int
    time: float
    node: int
    kind: str
    peer: int
    term: int
    index: int
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class NewKey:
    """A key that was made: whose, its public half, and the file that holds the secret."""

    name: str
    public: str
    file: str


class Remote(Cluster):
    """A cluster whose nodes run elsewhere, as a client of it; :func:`quorate.connect` makes one.

    What a live cluster's client can do works as there: `leader`, `status`, `inspect`, `wait_leader`,
    `propose`, `client`, `load`, the verbs that break nodes. `put`, `get` and their like are those of one
    client of its own. What the key has no right to raises DeniedError, and so does everything where no node
    knows the key. A verb for a node that does not answer raises NodeDownError; the others were told.

    A crash abandons the node inside its process, which can restart it; ``kill -9`` of a process is yours to
    do.
    """

    _own: Client | None = None

    def __enter__(self) -> Remote:
        return self

    @property
    def _client(self) -> Client:
        if self._own is None:
            self._own = self.client()
        return self._own

    def get(self, key: Value, timeout: float | None = None) -> str | None:
        """See :meth:`quorate.Client.get`."""
        return self._client.get(key, timeout)

    def put(self, key: Value, value: Value, timeout: float | None = None) -> None:
        """See :meth:`quorate.Client.put`."""
        self._client.put(key, value, timeout)

    def delete(self, key: Value, timeout: float | None = None) -> bool:
        """See :meth:`quorate.Client.delete`."""
        return self._client.delete(key, timeout)

    def append(self, key: Value, value: Value, timeout: float | None = None) -> int:
        """See :meth:`quorate.Client.append`."""
        return self._client.append(key, value, timeout)

    def cas(self, key: Value, expected: Value | None, value: Value, timeout: float | None = None) -> bool:
        """See :meth:`quorate.Client.cas`."""
        return self._client.cas(key, expected, value, timeout)

    def scan(
        self, start: Value = "", end: Value = "", limit: int | None = None, timeout: float | None = None
    ) -> list[tuple[str, str]]:
        """See :meth:`quorate.Client.scan`."""
        return self._client.scan(start, end, limit, timeout)

    def fault(self, verb: str, /, **fields: Any) -> None:
        """One directive of a plan, now: ``r.fault("pause", node=2)``; see :class:`quorate.Plan`."""
        self._call(lib.qrt_cluster_fault, encode(written(directive(verb, fields))))

    def last_events(self, node: int, count: int = 50) -> list[NodeEvent]:
        """The last events of a node's own trace, at most 2,000."""
        last = whole("last_events takes a number of events", count)
        events = self._ask(node, ask="trace", last=last)["events"]
        names = NodeEvent.__dataclass_fields__
        return [
            NodeEvent(**{k: v for k, v in e.items() if k in names} | {"time": e["time"] / 1e9})
            for e in events
        ]

    def stop(self, node: int) -> None:
        """Ends a node's process, once everything under way is on its disk."""
        self._ask(node, ask="stop")

    def _ask(self, node: int, **question: Any) -> Any:
        return self._handle.json(lib.qrt_node_ask, node_id(node), encode(written(question)))


def connect(file: Path, key: Path | None = None) -> Remote:
    """A client of the cluster that the file describes; `key` is the file of its secret key (None where the
    cluster has no keys).

    >>> with q.connect("cluster.toml", key="keys/alice.key") as r:
    ...     r.put("x", "1")
    ...     print(r.status())

    Waits at most 1.5 s for every node's first answer. Raises StorageError for a file that cannot be read,
    ParseError for what is wrong with it, with its line, DeniedError for a key that it does not know.
    """
    key_text = ffi.NULL if key is None else c_text(os.fspath(key))
    handle = Handle.make("cluster", lib.qrt_cluster_free, lib.qrt_connect, c_text(os.fspath(file)), key_text)
    remote = Remote._from_handle(handle)
    assert isinstance(remote, Remote)
    return remote


def keygen(file: Path, name: str | None = None) -> list[NewKey]:
    """Makes keys for the nodes and clients of a cluster file that have none; with `name` ("n2" is node 2),
    a new one for that one. Secrets go to ``keys/NAME.key`` beside the file (mode 0600), public keys into it.
    """
    given = ffi.NULL if name is None else c_text(name)
    made = json.loads(library_text(lib.qrt_keygen(c_text(os.fspath(file)), given)))
    return [NewKey(**entry) for entry in made]


def node_command(verb: str, file: Path, node: int, *options: str) -> Sequence[str]:
    """The command that carries out ``quorate-node VERB FILE NODE``."""
    return [library_text(lib.qrt_node_program()), verb, os.fspath(file), str(node), *options]
