"""Placement without a cluster: which node has a key.

>>> import quorate as q
>>> ring = q.Ring(["node1", "node2", "node3"], dialect="md5-index")
>>> ring.lookup("example")
'node2'
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from quorate._arrays import Given, Made, Texts
from quorate._ffi import Handle, c_text, encode, error_of, ffi, lib, text_at
from quorate.base import option_array

_TURN = 2.0**64
_NUMBER_MASK = 2**64 - 1


@dataclass(frozen=True)
class Balance:
    """How even a ring is: standard deviation over mean of the loads (shares over fair shares), the least and
    the greatest load, and every node's share of the circle. Exact, from the arcs."""

    sigma_over_mu: float
    least: float
    most: float
    shares: Mapping[str, float]


@dataclass(frozen=True)
class Move:
    """Keys at positions `first` to `last` (of 2**64, both inclusive) leave `source` for `target`."""

    first: int
    last: int
    source: str
    target: str

    @property
    def share(self) -> float:
        """Of the circle."""
        return (self.last - self.first + 1) / _TURN


class Ring:
    """Consistent hashing with virtual nodes (Karger and others, 1997).

    `nodes` are names, or names with weights. Options: dialect ("xxh3", "md5-index", "libmemcached",
    "libmemcached-unweighted", "libketama", "spymemcached"), rule ("clockwise", "nearest"), vnodes (points of
    a node of weight 1), bits (precision of a position), bug ("ring-order-dependent").

    Raises ArgumentError for a name that is empty or there already, RangeError for a weight that is not
    positive.
    """

    def __init__(
        self,
        nodes: Iterable[str] | Mapping[str, float] = (),
        *,
        zones: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        given = option_array({name: value for name, value in options.items() if value is not None})
        self._handle = Handle.make("ring", lib.qrt_ring_free, lib.qrt_ring_new, given, len(given))
        self.add_many(nodes, zones=zones)

    def __enter__(self) -> Ring:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the ring; again is harmless."""
        self._handle.close()

    def add(self, node: str, weight: float = 1.0, zone: str = "") -> None:
        """Adds one node. Adding moves keys to it, and none between the others."""
        self.add_many({node: weight}, zones={node: zone})

    def add_many(
        self, nodes: Iterable[str] | Mapping[str, float], *, zones: Mapping[str, str] | None = None
    ) -> None:
        """Adds all of the nodes or, when one is refused, none."""
        names = list(nodes)
        weights = Given(
            [float(nodes[n]) for n in names] if isinstance(nodes, Mapping) else [1.0] * len(names), "d"
        )
        texts, zone_texts = Texts(names), Texts((zones or {}).get(n, "") for n in names)
        self._handle.call(lib.qrt_ring_add, texts.pointer, weights.pointer, zone_texts.pointer, len(names))

    def remove(self, node: str) -> None:
        """Removes a node; its keys go to others, and no others move. Raises NotFoundError."""
        self._handle.call(lib.qrt_ring_remove, c_text(node))

    @property
    def slots(self) -> tuple[str | None, ...]:
        """Names by slot: what `lookup_many` numbers. A slot stays a node's until it is removed."""
        with self._handle.held() as pointer:
            names = (lib.qrt_ring_node(pointer, i) for i in range(lib.qrt_ring_slots(pointer)))
            return tuple(None if name == ffi.NULL else text_at(name) for name in names)

    @property
    def nodes(self) -> dict[str, float]:
        """Names and weights, in order of name."""
        with self._handle.held() as pointer:
            slots = range(lib.qrt_ring_slots(pointer))
            names = {i: lib.qrt_ring_node(pointer, i) for i in slots}
            found = {
                text_at(n): float(lib.qrt_ring_weight(pointer, i)) for i, n in names.items() if n != ffi.NULL
            }
        return dict(sorted(found.items()))

    def __len__(self) -> int:
        return len(self.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.nodes)

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def _name(self, slot: int) -> str:
        with self._handle.held() as pointer:
            return text_at(lib.qrt_ring_node(pointer, slot))

    def lookup(self, key: str | bytes | int) -> str:
        """The node of a key. A number is its own kind of key: 8 bytes, not its digits (but in the MD5
        dialects)."""
        slot = ffi.new("uint32_t *")
        if isinstance(key, int):
            self._handle.call(lib.qrt_ring_lookup_many, ffi.new("uint64_t *", key & _NUMBER_MASK), 1, slot)
        else:
            data = encode(key)
            self._handle.call(lib.qrt_ring_lookup, data, len(data), slot, ffi.NULL)
        return self._name(slot[0])

    def lookup_many(self, keys: Any) -> Any:
        """The slots of many keys, an array of uint32: ``ring.slots[i]`` is the name.

        `keys`: integers (NumPy's, array.array, a list), or a sequence of text or bytes.
        """
        if not hasattr(keys, "__len__"):
            keys = list(keys)
        if _are_texts(keys):
            return self._lookup_texts(keys)
        given = _numbers(keys)
        made = Made("I", given.count)
        self._handle.call(lib.qrt_ring_lookup_many, given.pointer, given.count, made.pointer)
        return made.result()

    def _lookup_texts(self, keys: Sequence[str | bytes]) -> Any:
        parts = [encode(key) for key in keys]
        offsets = [0]
        for part in parts:
            offsets.append(offsets[-1] + len(part))
        given, made = Given(offsets, "q"), Made("I", len(parts))
        self._handle.call(lib.qrt_ring_lookup_texts, b"".join(parts), given.pointer, len(parts), made.pointer)
        return made.result()

    def replicas(self, key: str | bytes, count: int) -> list[str]:
        """The first `count` distinct nodes on the way from a key, in distinct zones as long as there are
        any."""
        data, slots = encode(key), ffi.new("uint32_t[]", max(1, min(count, 64)))
        self._handle.call(lib.qrt_ring_replicas, data, len(data), max(count, 0), slots)
        return [self._name(slots[i]) for i in range(count)]

    def balance(self) -> Balance:
        """How even the shares are."""
        slots = self.slots
        shares, place = ffi.new("double[]", max(1, len(slots))), ffi.new("qrt_ring_balance *")
        self._handle.call(lib.qrt_ring_measure, shares, place)
        named = {name: shares[i] for i, name in enumerate(slots) if name is not None}
        return Balance(place.sigma_over_mu, place.least, place.most, dict(sorted(named.items())))

    def moves(self, after: Ring) -> tuple[Move, ...]:
        """What changes hands between this ring and another: see :func:`moves`."""
        return moves(self, after)

    def copy(self) -> Ring:
        """A ring of its own with the same nodes and options."""
        twin = object.__new__(Ring)
        place = ffi.new("qrt_ring **")
        self._handle.call(lib.qrt_ring_clone, place)
        twin._handle = Handle(place, lib.qrt_ring_free)
        return twin

    @property
    def fingerprint(self) -> int:
        """64 bits, equal for rings that place every key alike, in whatever order their nodes came."""
        place = ffi.new("uint64_t *")
        self._handle.call(lib.qrt_ring_fingerprint, place)
        return int(place[0])

    def svg(self) -> str:
        """A picture: the circle in its owners' colours, and their shares."""
        return self._handle.text(lib.qrt_ring_svg)

    def _repr_svg_(self) -> str | None:
        return self.svg() if len(self) else None

    def __repr__(self) -> str:
        return "Ring(closed)" if self._handle.closed else f"Ring({len(self)} nodes)"


def _are_texts(keys: Any) -> bool:
    kind = getattr(getattr(keys, "dtype", None), "kind", None)
    if kind is not None:
        return kind in "USO"
    return isinstance(keys, list | tuple) and len(keys) > 0 and isinstance(keys[0], str | bytes)


def _numbers(keys: Any) -> Given:
    """Integer keys; negative ones as their two's complement, as NumPy's int64 is read too."""
    if getattr(getattr(keys, "dtype", None), "kind", None) == "i":
        keys = keys.astype("int64").view("uint64")
    return Given([k & _NUMBER_MASK for k in keys] if isinstance(keys, list | tuple | range) else keys, "Q")


def moves(before: Ring, after: Ring) -> tuple[Move, ...]:
    """The arcs whose owner differs, ascending by position. Raises ArgumentError when the rings hash keys
    differently."""
    if before is after:
        return ()
    place, count = ffi.new("const qrt_ring_move **"), ffi.new("size_t *")
    before_names, after_names = before.slots, after.slots
    with before._handle.held() as one, after._handle.held() as two:
        status = lib.qrt_ring_moves(one, two, place, count)
        if status < 0:
            raise error_of(status, two)
        rows = [place[0][i] for i in range(count[0])]
        names = ((before_names[getattr(r, "from")], after_names[r.to]) for r in rows)  # a keyword of Python's
        return tuple(Move(r.first, r.last, str(a), str(b)) for r, (a, b) in zip(rows, names, strict=True))


def jump(key: int, buckets: int) -> int:
    """Jump hash (Lamping and Veach, 2014): the bucket, from 0, of a key. Growing moves keys to the new bucket
    only."""
    return int(jump_many([key], buckets)[0])


def jump_many(keys: Any, buckets: int) -> Any:
    """The buckets of many keys, an array of uint32."""
    given = _numbers(keys)
    made = Made("I", given.count)
    _check(lib.qrt_jump_many(given.pointer, given.count, max(0, buckets), made.pointer))
    return made.result()


def maglev(names: Sequence[str], size: int = 65537) -> Any:
    """Maglev's table (Eisenbud and others, 2016): entry hash(key) mod size is the index of a name. size: a
    prime."""
    texts, made = Texts(names), Made("I", max(0, size))
    _check(lib.qrt_maglev_names(texts.pointer, texts.count, made.pointer, max(0, size)))
    return made.result()


def rendezvous_many(nodes: Sequence[str] | Mapping[str, float], keys: Any) -> Any:
    """Rendezvous hashing: the index, in the order of `nodes`, of the winning node for each integer key."""
    texts = Texts(nodes)
    weights = Given(
        [float(w) for w in nodes.values()] if isinstance(nodes, Mapping) else [1.0] * len(nodes), "d"
    )
    given = _numbers(keys)
    made = Made("I", given.count)
    _check(
        lib.qrt_rendezvous_many(
            texts.pointer, weights.pointer, texts.count, given.pointer, given.count, made.pointer
        )
    )
    return made.result()


def _check(status: int) -> None:
    if status < 0:
        raise error_of(status)
