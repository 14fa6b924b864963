"""A protocol that test_live_scripts.py runs as processes: in a module that interpreters can import."""

from __future__ import annotations

import os
import time

import quorate as q

if os.environ.get("LIVE_PROTOCOLS_FAIL"):
    raise RuntimeError("the module does not like it here")


class Notebook(q.Node):
    """Persists what it is told, and shows how it began and what it suspects."""

    time_limit = 1.0

    def on_start(self):
        self.state = {"how": self.how, "stored": self.stored, "heard": [], "suspects": []}

    def on_propose(self, value, ticket):
        if value == "raise":
            raise ValueError("it was told to")
        while value == "loop":
            pass
        if value == "late":  # in a C function, where only the cluster's end reaches it
            time.sleep(3600)
        if value == "much":
            self.send_all("x" * 1_000_000)
        if value == "print":
            print(f"n{self.id} prints this")
        self.persist(value)
        self.send_all(value)
        self.reply(ticket, f"n{self.id} noted {value}")

    def on_message(self, sender, message):
        self.state["heard"].append(message)

    def on_opinion(self, peer, suspected, suspicion):
        assert suspicion >= 0
        self.state["suspects"] = [n for n in self.state["suspects"] if n != peer] + [peer] * suspected


class Parent(q.Node):
    """Forks a process, and starts a program, on being asked for two children: answers with their numbers."""

    def on_propose(self, value, ticket):
        if not (forked := os.fork()):
            time.sleep(100)
            os._exit(0)
        started = os.posix_spawn("/bin/sleep", ["sleep", "100"], os.environ)
        self.reply(ticket, f"{forked} {started}")
