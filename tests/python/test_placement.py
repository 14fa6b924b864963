"""Placement and quorum rules from Python: the published vectors, arrays, errors in words."""

import array
import hashlib
import os
from pathlib import Path

import pytest
import quorate as q

np = pytest.importorskip("numpy")
KETAMA = {f"10.0.1.{i + 1}": w for i, w in enumerate([600, 300, 200, 350, 1000, 800, 950, 100])}


def vectors(name: str) -> list[list[str]]:
    """Rows of a table of published vectors, or a skip."""
    roots = [
        os.environ.get("QUORATE_DATA"),
        *(str(p / "shared/data") for p in Path(__file__).resolve().parents),
    ]
    for root in filter(None, roots):
        path = Path(root) / "hashing" / name
        if path.exists():
            return [line.split("\t") for line in path.read_text().splitlines()[1:] if line]
    pytest.skip(f"{name} is not here; set QUORATE_DATA")


def test_libmemcached_vectors():
    with q.Ring(KETAMA, dialect="libmemcached") as ring:
        rows = vectors("libmemcached-ketama.tsv")
        assert [ring.lookup(row[0]) for row in rows] == [row[3] for row in rows]
        slots = ring.lookup_many([row[0] for row in rows])
        assert [ring.slots[i] for i in slots] == [row[3] for row in rows]


def test_libketama_as_its_own_test_prints_it():
    ring = q.Ring({f"{name}:11211": w for name, w in KETAMA.items()}, dialect="libketama")
    names = np.array(ring.slots)[ring.lookup_many(np.arange(20000))]
    spelled = np.array(ring.slots)[ring.lookup_many([str(k) for k in range(20000)])]
    assert (names == spelled).all()  # a number is its digits in the MD5 dialects


def test_md5_index_example_and_definition():
    ring = q.Ring(["node1", "node2", "node3"], dialect="md5-index")
    assert ring.lookup("example") == "node2"

    def md5(text: str) -> int:
        return int(hashlib.md5(text.encode()).hexdigest(), 16)

    points = sorted((md5(f"{node}{i}"), node) for node in ring for i in range(100))
    for k in range(300):
        key = f"key{k}"
        after = [node for position, node in points if position >= md5(key)]
        assert ring.lookup(key) == (after or [points[0][1]])[0]


def test_jump_vectors():
    for key, buckets, bucket in vectors("jump.tsv"):
        assert q.jump(int(key), int(buckets)) == int(bucket)
    grown = q.jump_many(np.arange(1000, dtype="uint64"), 11)
    before = q.jump_many(range(1000), 10)
    assert set(grown[grown != before]) == {10}


def test_lookup_many_takes_any_array():
    ring = q.Ring([f"n{i}" for i in range(7)])
    keys = [0, 1, -5, 2**63]
    want = [ring.lookup(k) for k in keys]
    for given in (
        keys,
        array.array("Q", [k % 2**64 for k in keys]),
        np.array([k % 2**64 for k in keys], "uint64"),
    ):
        assert [ring.slots[i] for i in ring.lookup_many(given)] == want
    small = np.array([0, 1, -5], "int32")
    assert [ring.slots[i] for i in ring.lookup_many(small)] == want[:3]
    assert [ring.slots[i] for i in ring.lookup_many(small.astype("int64")[::-1])] == want[2::-1]
    assert len(ring.lookup_many([])) == 0
    assert not ring.lookup_many(np.arange(3)).flags.writeable


def test_moves_are_minimal_and_order_does_not_matter():
    before = q.Ring([f"n{i}" for i in range(9)])
    after = before.copy()
    after.add("new")
    moves = q.moves(before, after)
    assert {m.target for m in moves} == {"new"}
    assert sum(m.share for m in moves) == pytest.approx(after.balance().shares["new"])
    turned = q.Ring(reversed([*before, "new"]))
    assert turned.fingerprint == after.fingerprint
    after.remove("new")
    assert after.fingerprint == before.fingerprint and before.moves(after) == ()
    mistaken = {
        q.Ring(order, bits=12, bug="ring-order-dependent").fingerprint for order in ("abcdef", "fedcba")
    }
    assert len(mistaken) == 2


def test_replicas_weights_and_picture():
    ring = q.Ring({"a": 1, "b": 2, "c": 1}, zones={"a": "x", "b": "x", "c": "y"})
    assert {frozenset(ring.replicas(f"k{i}", 2)) for i in range(50)} <= {frozenset("ac"), frozenset("bc")}
    assert ring.balance().shares["b"] > 0.35
    assert ring._repr_svg_().startswith("<svg")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: q.Ring(["a", "a"]), q.ArgumentError, "named twice"),
        (lambda: q.Ring([""]), q.ArgumentError, "must not be empty"),
        (lambda: q.Ring({"a": 0}), q.RangeError, "positive"),
        (lambda: q.Ring({"a": float("nan")}), q.RangeError, "positive"),
        (lambda: q.Ring([]).lookup("k"), q.ArgumentError, "no nodes"),
        (lambda: q.Ring(["a"]).replicas("k", 2), q.RangeError, "need 2 nodes"),
        (lambda: q.Ring(["a"]).remove("b"), q.NotFoundError, "not on the ring"),
        (lambda: q.Ring(["a"], vnods=3), q.OptionError, "vnodes"),
        (lambda: q.jump(1, 0), q.RangeError, "bucket"),
        (lambda: q.maglev(["a"], 6), q.ArgumentError, "prime"),
        (lambda: q.quorum("flexible:2,3", 5), q.ArgumentError, "2 \\+ 3 is not more than 5"),
        (lambda: q.quorum("majority", 0), q.RangeError, "not of 0"),
    ],
)
def test_bad_input_is_refused_in_words(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_quorum():
    rule = q.quorum("two-thirds", 7)
    assert (rule.size, rule.crashes, rule.liars) == (5, 2, 2)
    assert str(rule) == "any 5 of 7 nodes: stands 2 crashes and 2 liars"
    grid = q.quorum("grid:2x3", 6)
    assert grid.met([1, 2, 3], phase="read") and not grid.met([1, 2, 3]) and grid.met([1, 2, 3, 4])
    with pytest.raises(q.ArgumentError, match="share a voter"):
        q.quorum("flexible:2,4", 5, reads_meet=True)


def test_maglev_and_rendezvous():
    table = q.maglev(["a", "b", "c"], 101)
    assert sorted(np.bincount(table)) == [33, 34, 34]
    keys = np.arange(5000)
    all_four, three = q.rendezvous_many(["a", "b", "c", "d"], keys), q.rendezvous_many(["a", "b", "c"], keys)
    assert (all_four[all_four != 3] == three[all_four != 3]).all()


def test_options_are_listed():
    """What a ring and each kind of detector take, as of a cluster; an unknown kind names the nearest."""
    assert q.ring_options()["vnodes"]["type"] == "integer"
    assert "phi" in q.detector_kinds()
    assert q.detector_options("phi")["threshold"]["help"]
    with pytest.raises(q.NotFoundError, match="did you mean 'phi'"):
        q.detector_options("phy")


def test_fractions_are_no_keys():
    """An array of them would be cut off, or become any number at all where it has a NaN."""
    for call in (lambda keys: q.jump_many(keys, 5), lambda keys: q.Ring(["a", "b"]).lookup_many(keys)):
        with pytest.raises(q.WrongTypeError, match="array of whole numbers is needed, not one of float64"):
            call(np.array([1.5, float("nan")]))
