"""One script in three languages: this one, same_hash.lua, the first test of tests/core/test_determinism.c.

What they do is the same, call for call, with the data of same_hash.json; so is the trace hash they print.
"""

import json
from pathlib import Path

import quorate as q

data = json.loads(Path(__file__).with_suffix(".json").read_text())

with q.Cluster("raft", **data["options"]) as c:
    old = c.wait_leader()
    c.propose("x = 1")
    c.crash(old)
    new = c.wait_leader()
    c.propose("x = 2")

    c.partition([[new], [n for n in c.nodes if n != new]])
    c.run(0.5)
    c.heal()
    c.restart(old)
    c.run(0.25)

    kv = c.client()
    kv.put("k", "v")
    assert kv.get("k") == "v"
    assert kv.cas("k", "v", "w")
    assert kv.append("k", "!") == 2

    c.apply(json.dumps(data["plan"]))
    c.load(q.Workload(**data["workload"]))
    c.run(1.0)

    result = c.check()
    assert result.ok, str(result)
    print(result.hash)
