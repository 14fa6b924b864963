"""Ctrl-C comes through within 100 ms, out of every long call, and leaves the cluster usable."""

import signal
import subprocess
import sys
import time

import pytest

HEAD = """
import time, quorate as q
class Slow(q.StateMachine):
    def apply(self, index, command): time.sleep(1000)
    def query(self, command): return b""
class Spin(q.Node):
    time_limit = 1000.0
    def on_message(self, sender, message): self.send(sender, message)
    def on_propose(self, value, ticket): time.sleep(1000) if value == "sleep" else self.send_all("x")
c = q.Cluster("raft", nodes=5, record="none", timeout=1000)
"""
TAIL = """
except KeyboardInterrupt:
    print(time.monotonic(), flush=True)
assert c.propose("after", timeout=100).index
print("whole", flush=True)
"""
CALLS = {
    "run": "c.run(1e9)",
    "function": "c.run_until(lambda c: False, timeout=1e9)",
    "await": "[c.crash(n) for n in (1, 2, 3)]\n    c.propose('x', timeout=1e9)",
    "load": "c.load(clients=2, operations=10**9)",
    "campaign": "q.campaign('raft', seeds=10**6)",
    "handler": "q.Cluster(Spin).propose('sleep', timeout=1e9)",
    "script": "q.Cluster(Spin, record='none').propose('x', timeout=1e9)",
    "grade": "q.grade(Spin, seeds=10**6, events=10**6)",
    "machine": "q.Cluster('raft', machine=Slow).propose('x', timeout=1e9)",
}


@pytest.mark.parametrize("call", CALLS)
def test_interrupt_within_100_ms(call):
    """Measured on the common clock, from the signal to the except branch; the best of three, for a loaded
    machine.
    """
    mend = "c.restart('all')" if call == "await" else ""
    script = (
        HEAD
        + "print('ready', flush=True)\ntry:\n    "
        + CALLS[call]
        + TAIL.replace("assert", f"{mend}\nassert")
    )
    latencies = []
    for _ in range(3):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout
        child.stdout.readline()
        time.sleep(0.3)  # so that the call is under way
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        latencies.append(float(child.stdout.readline()) - sent)
        assert child.stdout.readline().strip() == "whole"
        assert child.wait(60) == 0
        if min(latencies) < 0.1:
            break
    assert min(latencies) < 0.1, f"{call}: {latencies}"
