"""The README's example: a Raft cluster, built, broken, judged. Every run with this seed is the same."""

import quorate as q

with q.Cluster("raft", nodes=5, seed=7) as c:
    old = c.wait_leader()
    print(c.propose("x = 1"))  # waits until it is committed

    c.crash(old)
    print(f"n{old} is down, n{c.wait_leader()} leads")
    c.restart(old)

    for n in (3, 4, 5):
        c.crash(n)
    try:
        c.propose("x = 2", timeout=1.0)
    except q.OperatingError as error:  # nobody leads, or nobody can commit
        print(error)
    for n in (3, 4, 5):
        c.restart(n)

    print(c.load(q.Workload(clients=4, operations=500)))
    print(c.check())
