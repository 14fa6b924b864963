"""Raft (Ongaro and Ousterhout 2014) on a page: without the log check of elections, and with it."""

from __future__ import annotations

from typing import Any

from quorate.node import Node

TIMEOUT, BEAT = 0.1, 0.02


class ElectedBlind(Node):
    """Everything is as in the paper's figure 2, but one line: a vote is granted to whoever asks first in
    a term, without asking whose log is longer. So a node that was cut off may lead, and overwrite what a
    majority had committed.
    """

    def on_start(self) -> None:
        term, vote, log = self.stored or [0, 0, []]
        self.state: Any = {
            "term": term,
            "vote": vote,
            "log": log,
            "commit": 0,
            "role": "follower",
            "leader": 0,
        }
        self.state.update(votes=[], next={}, match={}, tickets={})
        self.rest()

    # --- elections ---

    def rest(self) -> None:
        """Waits for a leader, a while that differs from node to node."""
        self.set_timer("election", TIMEOUT * (1 + self.random.random()))

    def keep(self) -> None:
        """Term, vote and log are one record."""
        self.persist([self.state["term"], self.state["vote"], self.state["log"]])

    def last(self) -> list[int]:
        """The term and index of the last entry."""
        log = self.state["log"]
        return [log[-1][0] if log else 0, len(log)]

    def step_to(self, term: int) -> None:
        """A newer term makes everybody a follower."""
        if term > self.state["term"]:
            self.state.update(term=term, vote=0)
            self.keep()
            self.follow(0)
            self.rest()

    def follow(self, leader: int) -> None:
        if self.state["role"] == "leader":
            for ticket in self.state["tickets"].values():
                self.refuse(ticket)
            self.state["tickets"] = {}
        if (self.state["role"], self.state["leader"]) != ("follower", leader):
            self.state.update(role="follower", leader=leader)
            self.become("follower", term=self.state["term"], leader=leader)

    def on_timer(self, name: str) -> None:
        s = self.state
        if s["role"] == "leader":
            for p in self.peers:
                self.replicate(p)
            self.set_timer("election", BEAT)
            return
        s.update(term=s["term"] + 1, vote=self.id, role="candidate", leader=0, votes=[self.id])
        self.keep()
        self.become("candidate", term=s["term"])
        self.send_all(["vote", s["term"], self.last()])
        self.rest()

    def up_to_date(self, last: list[int]) -> bool:
        """Whether a candidate's log will do (section 5.4.1)."""
        return True

    def on_vote(self, sender: int, term: int, last: list[int]) -> None:
        s = self.state
        if term == s["term"] and s["vote"] in (0, sender) and self.up_to_date(last):
            s["vote"] = sender
            self.keep()
            self.rest()
            self.send(sender, ["granted", term])

    def on_granted(self, sender: int, term: int) -> None:
        s = self.state
        if term != s["term"] or s["role"] != "candidate":
            return
        s["votes"] = sorted({*s["votes"], sender})
        if 2 * len(s["votes"]) > len(self.peers) + 1:
            s.update(role="leader", leader=self.id, match=dict.fromkeys(self.peers, 0))
            s["next"] = dict.fromkeys(self.peers, len(s["log"]) + 1)
            s["log"].append([term, ""])
            self.keep()
            self.become("leader", term=term, leader=self.id)
            self.on_timer("election")

    # --- the log ---

    def on_propose(self, value: str | bytes, ticket: int) -> None:
        s = self.state
        if s["role"] != "leader":
            self.refuse(ticket, s["leader"] or None)
            return
        s["log"].append([s["term"], value])
        s["tickets"][len(s["log"])] = ticket
        self.keep()
        for p in self.peers:
            self.replicate(p)

    def replicate(self, peer: int) -> None:
        s = self.state
        before = s["next"][peer] - 1
        term = s["log"][before - 1][0] if before else 0
        self.send(peer, ["append", s["term"], before, term, s["log"][before : before + 20], s["commit"]])

    def on_message(self, sender: int, message: Any) -> None:
        kind, term, *rest = message
        self.step_to(term)
        getattr(self, "on_" + kind)(sender, term, *rest)

    def on_append(
        self, sender: int, term: int, before: int, before_term: int, entries: Any, commit: int
    ) -> None:
        s = self.state
        log = s["log"]
        if term < s["term"]:
            self.send(sender, ["appended", s["term"], 0, False])
            return
        self.follow(sender)
        self.rest()
        if before > len(log) or (before and log[before - 1][0] != before_term):
            self.send(sender, ["appended", term, min(before - 1, len(log)), False])
            return
        for i, entry in enumerate(entries, before):
            if i < len(log) and log[i][0] != entry[0]:
                del log[i:]
            if i >= len(log):
                log.append(entry)
        if entries:
            self.keep()
        self.commit(min(commit, before + len(entries)))
        self.send(sender, ["appended", term, before + len(entries), True])

    def on_appended(self, sender: int, term: int, index: int, matches: bool) -> None:
        s = self.state
        if term != s["term"] or s["role"] != "leader":
            return
        s["next"][sender] = index + 1
        if not matches:
            self.replicate(sender)
            return
        s["match"][sender] = max(s["match"][sender], index)
        reached = sorted([len(s["log"]), *s["match"].values()])[(len(self.peers)) // 2]
        if reached > s["commit"] and s["log"][reached - 1][0] == term:
            self.commit(reached)

    def commit(self, index: int) -> None:
        """Decides every entry up to there."""
        s = self.state
        while s["commit"] < index:
            s["commit"] += 1
            term, value = s["log"][s["commit"] - 1]
            if value != "":  # a new leader's first entry is nobody's proposal
                self.decide(s["commit"], value, ballot=term)
            ticket = s["tickets"].pop(s["commit"], None)
            if ticket is not None:
                self.reply(ticket, index=s["commit"], term=term)


class ElectedByLog(ElectedBlind):
    """The same with the line: a vote goes only to a candidate whose log is at least as good as the
    voter's.
    """

    def up_to_date(self, last: list[int]) -> bool:
        return last >= self.last()
