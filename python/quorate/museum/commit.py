"""Two-phase commit (Gray 1978): naive, and right."""

from __future__ import annotations

from typing import Any

from quorate.node import Node

ASK = 0.06
COMMIT, ABORT = 1, 2


class SecondThoughts(Node):
    """Whoever is asked for a transaction asks all others; when all say yes it commits, else, or after a
    while, it aborts, and says so. A participant that has said yes and hears nothing thinks twice: surely
    the coordinator is dead, and nothing is lost by an abort. But the coordinator was only slow, or cut
    off, and committed.
    """

    judged_by = "atomic-commit"
    fault_model = {"crashes": "0"}  # noqa: RUF012

    def on_start(self) -> None:
        self.state: Any = {"count": 0, "open": {}, "outcomes": {}, **(self.stored or {})}
        self.state["tickets"] = {}
        for key, t in list(self.state["open"].items()):
            if self.state["outcomes"].get(key) is None and t["coordinator"] == self.id:
                self.finish(key, ABORT)  # it died before it decided
        self.set_timer("ask", ASK)

    def keep(self) -> None:
        """All that must survive."""
        self.persist({k: self.state[k] for k in ("count", "open", "outcomes")})

    def on_propose(self, value: str | bytes, ticket: int) -> None:
        self.state["count"] += 1
        key = self.state["count"] * 256 + self.id
        self.state["open"][key] = {"coordinator": self.id, "yes": [], "age": 0}
        self.state["tickets"][key] = ticket
        self.keep()
        self.send_all(["prepare", key])

    def on_message(self, sender: int, message: Any) -> None:
        getattr(self, "on_" + message[0])(sender, *message[1:])

    def on_prepare(self, sender: int, key: int) -> None:
        if key in self.state["outcomes"]:
            return
        if key not in self.state["open"]:
            if self.random.random() < 0.1:
                self.finish(key, ABORT)  # before it has voted it may
                self.send(sender, ["no", key])
                return
            self.state["open"][key] = {"coordinator": sender, "yes": [], "age": 0}
            self.keep()
        self.send(sender, ["yes", key])

    def on_no(self, sender: int, key: int) -> None:
        self.finish(key, ABORT)

    def on_yes(self, sender: int, key: int) -> None:
        t = self.state["open"].get(key)
        if t is None:
            self.on_ask(sender, key)
            return
        t["yes"] = sorted({*t["yes"], sender})
        if len(t["yes"]) == len(self.peers):
            self.finish(key, COMMIT)

    def on_ask(self, sender: int, key: int) -> None:
        if key in self.state["outcomes"]:
            self.send(sender, ["outcome", key, self.state["outcomes"][key]])

    def on_outcome(self, sender: int, key: int, outcome: int) -> None:
        self.finish(key, outcome)

    def finish(self, key: int, outcome: int) -> None:
        """Commits or aborts, once."""
        if key in self.state["outcomes"]:
            return
        t = self.state["open"].pop(key, None)
        self.state["outcomes"][key] = outcome
        self.keep()
        self.decide(key, "commit" if outcome == COMMIT else "abort", outcome=outcome)
        if t is not None and t["coordinator"] == self.id:
            self.send_all(["outcome", key, outcome])
        ticket = self.state["tickets"].pop(key, None)
        if ticket is not None:
            self.reply(ticket, "commit" if outcome == COMMIT else "abort")

    def on_timer(self, name: str) -> None:
        for key, t in list(self.state["open"].items()):
            t["age"] += 1
            if t["coordinator"] != self.id:
                self.waited(key, t)
            elif t["age"] > 5:
                self.finish(key, ABORT)
            else:
                self.send_all(["prepare", key])
        self.set_timer("ask", ASK)

    def waited(self, key: int, t: Any) -> None:
        """A participant has voted yes, and still knows nothing."""
        if t["age"] > 3:
            self.finish(key, ABORT)
        else:
            self.send(t["coordinator"], ["ask", key])


class SteadyCommit(SecondThoughts):
    """The same, but yes means yes: it asks until it knows, however long that takes."""

    def waited(self, key: int, t: Any) -> None:
        self.send(t["coordinator"], ["ask", key])
