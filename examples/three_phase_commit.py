"""Three-phase commit beside two-phase commit: the coordinator dies between the votes and its decision."""

import quorate as q

for protocol in ("2pc", "3pc"):
    with q.Cluster(protocol, nodes=4, seed=1, delay="1ms", delay_kind="constant") as c:
        c.run(0.01)
        c.apply(q.Plan([{"at": 0.002, "do": "crash", "node": 1, "for": 3}]))  # the votes are on their way
        result = c.transaction({2: "debit 5", 3: "credit 5", 4: "log"}, coordinator=1, timeout=2)
        others = sorted(set(result.states.values()))
        print(f"{protocol}: after {c.now:.2f} s without n1 the others are {others}")
        c.run(3)
        verdict = c.check()
        print(f"{verdict.transactions['times_blocked']} times blocked\n{verdict}")

# Its price: it takes silence for a crash. Where a partition lies between those who know that all agree and
# those who do not, each side decides for itself. A campaign beyond the fault model finds seeds of it.
result = q.campaign("3pc", seeds=60, outside=True, jobs=1)
print(f"beyond its fault model {result.properties['atomicity']} of 60 seeds decide in two ways")
