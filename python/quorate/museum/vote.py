"""Consensus by voting for the smallest value: naive."""

from __future__ import annotations

from typing import Any

from quorate.node import Node

RETRY = 0.05
INSTANCE = 1


class SmallerValue(Node):
    """Every node says its value; who hears of a smaller one makes it its own, and says so; what a
    majority says is decided. Votes that change cannot be counted: one majority says 5 before the 3 of a
    slow node is heard of, and another, of nodes that have changed their minds since, says 3.
    """

    def on_start(self) -> None:
        self.state: Any = {"value": self.stored, "votes": {}, "waiting": [], "decided": None}
        if self.stored is not None:
            self.vote(self.stored)

    def on_propose(self, value: str | bytes, ticket: int) -> None:
        self.state["waiting"].append(ticket)
        if self.state["value"] is None:
            self.vote(value)
        self.answer()

    def on_message(self, sender: int, message: Any) -> None:
        self.state["votes"][sender] = message
        if self.state["value"] is None or message < self.state["value"]:
            self.vote(message)
        self.count()

    def on_timer(self, name: str) -> None:
        """Messages may have been lost: say it again."""
        self.send_all(self.state["value"])
        if self.state["decided"] is None:
            self.set_timer("retry", RETRY)

    def vote(self, value: Any) -> None:
        """This is the node's value now."""
        self.state["value"] = self.state["votes"][self.id] = value
        self.persist(value)
        self.on_timer("retry")
        self.count()

    def count(self) -> None:
        """Does a majority say the same?"""
        same = sum(v == self.state["value"] for v in self.state["votes"].values())
        if self.state["decided"] is None and 2 * same > len(self.peers) + 1:
            self.state["decided"] = self.state["value"]
            self.decide(INSTANCE, self.state["value"])
            self.answer()

    def answer(self) -> None:
        """Tells whoever waits."""
        if self.state["decided"] is not None:
            for ticket in self.state["waiting"]:
                self.reply(ticket, self.state["decided"], index=INSTANCE)
            self.state["waiting"] = []
