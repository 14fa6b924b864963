"""Primary-backup in its two modes: what survives when the primary is cut off, and what does not."""

import quorate as q

for mode in ("sync", "async"):
    # Without check_quorum the old primary goes on until it hears of its successor.
    with q.Cluster("primary-backup", nodes=3, seed=5, mode=mode, check_quorum=False) as c:
        old = c.wait_leader()
        kv = c.client()
        kv.put("k", "v")
        c.load(q.Workload(clients=4, operations=0, think=0.005), wait=False)
        c.run(0.3)
        c.isolate(old)
        c.run(0.8)
        new = next(n.node for n in c.status().nodes if n.role == "leader" and n.node != old)
        c.heal()  # the old primary hears of the new epoch and takes over the new one's log
        c.run(1.0)
        c.stop_load()
        c.run(1.0)
        print(f"{mode}: n{old}, then n{new}; k is {kv.get('k')}")
        result = c.check()
        print(result["lost-window"].text or "nothing that was answered was lost")
        print(result)
        assert result.ok and bool(result["lost-window"].text) == (mode == "async")
