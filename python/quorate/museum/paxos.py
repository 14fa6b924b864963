"""One value for all, by acceptors: naive, and as in the part-time parliament (Lamport 1998)."""

from __future__ import annotations

from typing import Any

from quorate.node import Node

RETRY = 0.05
INSTANCE = 1


class FirstValue(Node):
    """Whoever has a value asks all acceptors to accept it; an acceptor takes the first that it sees,
    tells all, and what a majority took is decided. It is safe, and it stops: when three proposals come at
    once, each may get an acceptor or two, and no value will ever have a majority. Ballots are there so
    that one can try again.
    """

    def on_start(self) -> None:
        self.state: Any = {"accepted": self.stored, "seen": {}, "waiting": {}, "decided": None}
        if self.stored is not None:
            self.learn(self.id, self.stored)
            self.set_timer("retry", RETRY)

    def on_propose(self, value: str | bytes, ticket: int) -> None:
        self.state["waiting"][ticket] = value
        self.accept(value)
        self.answer()
        self.set_timer("retry", RETRY)

    def on_timer(self, name: str) -> None:
        """Messages may have been lost: say it again."""
        if self.state["decided"] is None and self.state["accepted"] is not None:
            self.send_all(self.state["accepted"])
            self.set_timer("retry", RETRY)

    def on_message(self, sender: int, message: Any) -> None:
        if self.state["accepted"] is None:
            self.accept(message)
            self.set_timer("retry", RETRY)
        self.learn(sender, message)

    def accept(self, value: Any) -> None:
        """Takes the value, unless there is one already."""
        if self.state["accepted"] is None:
            self.state["accepted"] = value
            self.persist(value)
            self.learn(self.id, value)
        self.send_all(self.state["accepted"])

    def learn(self, acceptor: int, value: Any) -> None:
        """Counts who took what."""
        self.state["seen"][acceptor] = value
        took = sum(v == value for v in self.state["seen"].values())
        if self.state["decided"] is None and 2 * took > len(self.peers) + 1:
            self.state["decided"] = value
            self.decide(INSTANCE, value)
            self.answer()

    def answer(self) -> None:
        """Tells whoever waits."""
        if self.state["decided"] is not None:
            for ticket in self.state["waiting"]:
                self.reply(ticket, self.state["decided"], index=INSTANCE)
            self.state["waiting"] = {}


class Synod(Node):
    """The same with ballots: a proposer first asks a majority what it has accepted, and goes on with the
    value of the highest ballot; an acceptor that has promised a ballot takes part in no lower one.
    """

    def on_start(self) -> None:
        promised, ballot, value = self.stored or [0, 0, None]
        self.state: Any = {"promised": promised, "ballot": ballot, "value": value, "round": 0}
        self.state.update(mine=0, promises={}, accepted=[], choice=None, waiting={}, decided=None)

    def on_propose(self, value: str | bytes, ticket: int) -> None:
        self.state["waiting"][ticket] = value
        if self.state["decided"] is not None:
            self.answer()
        elif not self.state["mine"]:
            self.on_timer("retry")

    def on_timer(self, name: str) -> None:
        """A new ballot, higher than any that was seen, and this node's own."""
        s = self.state
        if s["decided"] is not None or not s["waiting"]:
            return
        count = len(self.peers) + 1
        s["round"] = max(s["round"], s["promised"] // count) + 1
        s["mine"] = s["round"] * count + self.id - 1
        s["promises"], s["accepted"], s["choice"] = {}, [], None
        self.send_all(["prepare", s["mine"]])
        self.on_message(self.id, ["prepare", s["mine"]])
        self.set_timer("retry", RETRY * (1 + self.random.random()))

    def on_message(self, sender: int, message: Any) -> None:
        getattr(self, "on_" + message[0])(sender, *message[1:])

    def tell(self, to: int, *message: Any) -> None:
        """Sends, to itself as well."""
        if to == self.id:
            self.on_message(to, list(message))
        else:
            self.send(to, message)

    def keep(self) -> None:
        """What an acceptor must not forget."""
        self.persist([self.state["promised"], self.state["ballot"], self.state["value"]])

    def on_prepare(self, sender: int, ballot: int) -> None:
        s = self.state
        if s["decided"] is not None:
            self.tell(sender, "decided", s["decided"])
        elif ballot > s["promised"]:
            s["promised"] = ballot
            self.keep()
            self.tell(sender, "promise", ballot, s["ballot"], s["value"])

    def on_promise(self, sender: int, ballot: int, accepted: int, value: Any) -> None:
        s = self.state
        if ballot != s["mine"] or s["choice"] is not None:
            return
        s["promises"][sender] = [accepted, value]
        if 2 * len(s["promises"]) <= len(self.peers) + 1:
            return
        highest = max(s["promises"].values(), key=lambda p: p[0])
        s["choice"] = highest[1] if highest[0] else next(iter(s["waiting"].values()))
        self.send_all(["accept", ballot, s["choice"]])
        self.on_accept(self.id, ballot, s["choice"])

    def on_accept(self, sender: int, ballot: int, value: Any) -> None:
        s = self.state
        if ballot >= s["promised"]:
            s["promised"] = s["ballot"] = ballot
            s["value"] = value
            self.keep()
            self.tell(sender, "accepted", ballot)

    def on_accepted(self, sender: int, ballot: int) -> None:
        s = self.state
        if ballot != s["mine"] or sender in s["accepted"]:
            return
        s["accepted"].append(sender)
        if 2 * len(s["accepted"]) > len(self.peers) + 1:
            self.on_decided(self.id, s["choice"])
            self.send_all(["decided", s["choice"]])

    def on_decided(self, sender: int, value: Any) -> None:
        if self.state["decided"] is None:
            self.state["decided"] = value
            self.decide(INSTANCE, value)
        self.answer()

    def answer(self) -> None:
        """Tells whoever waits."""
        for ticket in self.state["waiting"]:
            self.reply(ticket, self.state["decided"], index=INSTANCE)
        self.state["waiting"] = {}
