"""Nodes as processes: kill -9 a leader from outside, start it again, and ask for the verdict."""

import os
import signal

import quorate as q

with q.Cluster("raft", nodes=3, runtime="live", transport="tcp") as c:
    old = c.wait_leader()
    c.propose("x = 1")

    pid = next(n.pid for n in c.status().nodes if n.node == old)
    os.kill(pid, signal.SIGKILL)
    new = c.wait_leader(other_than=old)
    print(f"n{old}, process {pid}, was killed; n{new} leads")
    c.run_until(lambda c: not c.status().nodes[old - 1].up)
    print(f"n{old}: {c.status().nodes[old - 1].why_down}")
    c.restart(old)

    c.pause(new)  # SIGSTOP
    print(f"n{new} sleeps; n{c.wait_leader(other_than=new)} leads")
    c.resume(new)  # SIGCONT

    print(c.load(q.Workload(clients=4, operations=500)))
    print(c.check())
