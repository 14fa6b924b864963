"""Ben-Or: bits decided by majorities and coins, while messages get lost and a node is down."""

import quorate as q

with q.Cluster("benor", nodes=5, seed=6) as c:
    c.loss(0.1)
    c.crash(5)
    rounds = []
    for i in range(20):
        votes = [c.propose_later(f"{i}: {node % 2}", node=node) for node in (1, 2, 3, 4)]
        told = [v.result() for v in votes]
        rounds.append(told[0].term)
    print("rounds to decide:", *rounds)
    print("the last decision:", told[0].answer.decode())
    print(c.check())
