"""Two-phase commit: a transaction over three nodes, what it costs in each form, and who is blocked when."""

import quorate as q

# A transfer between two accounts on two nodes, and an audit that only reads.
with q.Cluster("2pc", nodes=4, seed=1) as c:
    print(c.transaction({2: "debit 5", 3: "credit 5"}, read_only=[4], coordinator=1))
    print(c.transaction({2: "debit 5", 3: "credit 5"}, refuse=[2], coordinator=1))

    # The coordinator dies behind the fourth effect of its next step: after it has asked, before it decides.
    c.crash(1, effect=4)
    result = c.transaction({2: "debit 5", 3: "credit 5"}, coordinator=1, timeout=2)
    print(result)  # unknown: two participants voted yes, and may decide nothing alone
    print(result.states, "-", result.why)

    c.restart(1)
    c.run(0.5)
    verdict = c.check()
    for b in verdict.transactions["blocked"]:
        print(f"n{b['node']} was blocked for {b['seconds']:.2f} s, waiting for n{b['waits_for']}")
    print(verdict)

# What a commit among three participants costs beside its coordinator, read off the trace.
for form in ("presumed-nothing", "presumed-abort", "presumed-commit", "participant-initiated"):
    apart = {"manager": 1} if form == "participant-initiated" else {}
    with q.Cluster("2pc", nodes=4, seed=1, form=form, **apart) as c:
        c.run(0.01)
        taker = 2 if apart else 1
        one = c.transaction([2, 3, 4], coordinator=taker)
        c.run(0.5)
        names, ours = c.trace.kinds, []
        for kind, index in zip(c.trace.column("kind"), c.trace.column("index"), strict=True):
            if index == one.index:
                ours.append(names[kind])
        sent, forced = ours.count("send"), ours.count("persist")
        print(f"{form:21} {sent} messages, {forced} forced writes, {one.latency * 1000:.2f} ms")
