"""The verbs that break a cluster, and mend it. Each takes effect now; a Plan is the same with times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from quorate._ffi import c_text, encode, lib
from quorate._json import written
from quorate.base import ClusterBase
from quorate.plan import Plan, Seconds, directive

Node = int | str  # an id, or "leader", "follower", "random", "all", "majority", "minority"
Link = tuple[Any, Any]  # from, to: node ids, "any", or clients
Delay = Seconds | dict[str, Any]  # seconds, or a distribution: {"uniform": [a, b]}


class Faults(ClusterBase):
    """The faults of a cluster, as methods.

    A link verb without `link` stands on every link; with ``link=(1, 2)`` on what n1 sends to n2, and with
    ``both=True`` the other way as well. Conditions stand until ``heal()``.
    """

    def _fault(self, verb: str, **fields: Any) -> None:
        self._call(lib.qrt_cluster_fault, encode(written(directive(verb, fields))))

    def _link(self, verb: str, link: Link | None, both: bool, **fields: Any) -> None:
        ends = {"from": link[0], "to": link[1]} if link else {}
        self._fault(verb, both=True if both else None, **ends, **fields)

    def crash(self, node: Node, disk: str = "unsynced", effect: int | None = None) -> None:
        """Kills a node; crashing one that is down changes its disk's fate at most.

        `disk`: "unsynced" loses what was not synced (and may tear the last write), "kept" keeps all, "wiped"
        nothing; "damaged" is as "unsynced", and flips bits of its log. `effect`: dies between two effects
        of its next step, after that many of them, instead of now.
        """
        self._fault("crash", node=node, disk=disk, effect=effect)

    def restart(self, node: Node) -> None:
        """Starts a crashed node from what its disk holds."""
        self._fault("restart", node=node)

    def pause(self, node: Node) -> None:
        """Stops a node; what arrives waits in order."""
        self._fault("pause", node=node)

    def resume(self, node: Node) -> None:
        """Continues a paused node."""
        self._fault("resume", node=node)

    def partition(
        self, groups: str | Iterable[Iterable[int]], *, node: int | None = None, one_way: bool = False
    ) -> None:
        """Cuts the network into groups of nodes; a node in no group is cut off from all.

        Or by shape: "halves", "one" (`node`, or a random one), "leader", "ring" (everyone sees a majority, no
        two the same), "bridge" (two halves joined by `node`). `one_way` cuts only what the first group sends
        to the others.
        """
        way = True if one_way else None
        if isinstance(groups, str):
            self._fault("partition", shape=groups, node=node, one_way=way)
        else:
            cut = [list(group) for group in groups]
            self._fault("partition", groups=[group for group in cut if group], one_way=way)

    def isolate(self, node: int) -> None:
        """Cuts one node off from all others."""
        self._fault("partition", shape="one", node=node)

    def heal(self) -> None:
        """Ends every partition and every condition of a link. Crashed nodes stay down."""
        self._fault("heal")

    def loss(self, probability: float, link: Link | None = None, *, both: bool = False) -> None:
        """Loses each message with that probability."""
        self._link("loss", link, both, probability=probability)

    def delay(self, delay: Delay, link: Link | None = None, *, both: bool = False) -> None:
        """Adds to the links' delay: seconds, ``{"uniform": [a, b]}``, ``{"normal": [mean, deviation]}``,
        ``{"exponential": mean}``, ``{"pareto": [scale, shape]}``."""
        self._link("delay", link, both, delay=delay)

    def reorder(
        self, probability: float, spread: Delay | None = None, link: Link | None = None, *, both: bool = False
    ) -> None:
        """Lets each message be overtaken with that probability, by up to `spread`."""
        self._link("reorder", link, both, probability=probability, spread=spread)

    def duplicate(
        self, probability: float, spread: Delay | None = None, link: Link | None = None, *, both: bool = False
    ) -> None:
        """Delivers each message twice with that probability, the copy late by up to `spread`."""
        self._link("duplicate", link, both, probability=probability, spread=spread)

    def corrupt(self, probability: float, link: Link | None = None, *, both: bool = False) -> None:
        """Flips one bit of each frame with that probability."""
        self._link("corrupt", link, both, probability=probability)

    def bandwidth(self, rate: int, link: Link | None = None, *, both: bool = False) -> None:
        """Lets a link carry `rate` bytes a second; messages leave one after the other, and wait."""
        self._link("bandwidth", link, both, rate=rate)

    def lie(self, node: int, probability: float, *, to: int | str = "any") -> None:
        """Makes what a node tells its peers (or only `to`) false with that probability: one field of the
        message, drawn anew for each, under a sound seal. Clients hear the truth.

        Byzantine behaviour in its plainest form (Lamport, Shostak and Pease 1982); no protocol here tolerates
        it, so it shows what each of them believes.
        """
        self._fault("lie", **{"from": node, "to": to, "probability": probability})

    def skew(self, node: Node, offset: Seconds = 0.0, drift: float = 0.0) -> None:
        """Puts a node's wall clock off by `offset` seconds and lets both its clocks drift (parts per
        million).
        """
        self._fault("skew", node=node, offset=offset, drift=drift)

    def slow(self, node: Node, delay: Seconds) -> None:
        """Delays every step of a node."""
        self._fault("slow", node=node, delay=delay)

    def fill_disk(self, node: Node) -> None:
        """Leaves a node's disk without room until it is freed: it refuses proposals and takes no entries of
        others, and goes on voting with what its log has in reserve. Outlasts heals and restarts. `node` is an
        id, "random", "all", "majority" or "minority".
        """
        self._fault("fill", node=node)

    def free_disk(self, node: Node = "all") -> None:
        """Gives a node's disk room again; it takes part again by itself."""
        self._fault("free", node=node)

    def apply(self, plan: Plan | str) -> None:
        """Begins a plan (or its JSON); its times count from now."""
        text = plan.to_json() if isinstance(plan, Plan) else plan
        self._call(lib.qrt_cluster_plan, c_text(text))
