"""Where keys go, and how few of them move when a node comes or goes."""

import quorate as q

keys = [f"user:{i}" for i in range(100_000)]
names = [f"node{i}" for i in range(10)]
for points in (1, 10, 100):
    ring = q.Ring(names, vnodes=points)
    print(f"{points:3} virtual nodes each: loads deviate by {ring.balance().sigma_over_mu:.1%} of their mean")

before = q.Ring(names, vnodes=100)
after = before.copy()
after.add("node10")
placed, moved = before.lookup_many(keys), after.lookup_many(keys)
share = sum(before.slots[a] != after.slots[b] for a, b in zip(placed, moved, strict=True)) / len(keys)
print(f"an eleventh node takes {share:.1%} of the keys; the least possible is {1 / 11:.1%}")
print("three replicas of user:1 on", ", ".join(after.replicas("user:1", 3)))

backwards = q.Ring(reversed(names), vnodes=100)
assert backwards.fingerprint == before.fingerprint, "placement does not depend on the order of insertion"
assert all(move.target == "node10" for move in q.moves(before, after)), "keys move to the new node only"
print("placement is independent of insertion order, and keys move to the new node only: ok")
