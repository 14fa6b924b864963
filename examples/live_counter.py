"""The counter of gossip_counter.py on real processes: a node is a Python of its own, a crash is kill -9."""

import quorate as q
from gossip_counter import GossipCounter

with q.Cluster(GossipCounter, nodes=3, runtime="live", transport="tcp") as c:
    for node in c.nodes:
        print(f"n{node} has counted to", c.propose("one more", node=node).answer.decode())
    c.crash(2)
    print(f"n2 is killed; n1 counts to {c.propose('one more', node=1).answer.decode()}")
    c.restart(2)  # a new interpreter; it finds what it had persisted, and hears of the rest
    c.run_until(lambda c: "1: 2" in c.inspect(2)["state"])
    print("n2 knows", c.inspect(2)["state"])
    print(c.check())
