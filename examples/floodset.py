"""Voting in synchronous rounds: the least value wins, also when a voter dies in the middle of a broadcast."""

import quorate as q

with q.Cluster("floodset", nodes=5, faults=2, seed=4) as c:
    c.crash(1, effect=2)
    votes = {node: c.propose_later(f"{node} points", node=node) for node in c.nodes}
    for node in c.nodes[1:]:
        print(f"n{node} is told: {votes[node].result().answer.decode()}")
    c.restart(1)
    c.run(0.2)
    print("then:", c.propose("0 points", node=1))
    print(c.check())
