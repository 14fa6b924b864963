"""Rivals propose at once to a Paxos cluster that loses messages; one value is chosen in each instance."""

import quorate as q

with q.Cluster("paxos", nodes=5, seed=3) as c:
    c.loss(0.1)
    for _ in range(3):
        rivals = [c.propose_later(f"n{node}'s choice", node=node) for node in c.nodes]
        told = {p.result().answer for p in rivals}
        print("chosen:", ", ".join(sorted(t.decode() for t in told)))
    for ballot in c.trace.ballots():
        print(ballot)
    print(c.check())
