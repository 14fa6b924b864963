"""Three elections: what each costs, who wins, and what a bound on delays is worth."""

import quorate as q

for protocol in ("timestamp", "bully", "ring"):
    with q.Cluster(protocol, nodes=5, seed=7) as c:
        first = c.elect(1)
        messages = c.status().counts["delivered"]
        c.crash(first.leader)
        second = c.elect(1 if first.leader != 1 else 2)
        print(f"{protocol}: {first}, {messages} messages; n{first.leader} crashed: {second}")
        result = c.check()
        print(result)
        assert result.ok and second.epoch > first.epoch and second.leader != first.leader

# Bully and ring rely on a bound of delays. A partition breaks it: each side elects.
with q.Cluster("bully", nodes=5, seed=7) as c:
    c.partition([[1, 2], [3, 4, 5]])
    print("apart:", c.elect(1).leader, "and", c.elect(3).leader)
    c.run(1.0)
    (two,) = c.check().violations
    print(f"{two.name} does not hold: {two.text}")
    assert two.name == "one-leader-at-a-time"
