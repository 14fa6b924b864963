"""Mutual exclusion by a token that goes round a ring, and is made anew when it is lost."""

import quorate as q

WORK, PATIENCE = 0.005, 0.08


class TokenRing(q.Node):
    """Who holds the token works. A token is [epoch, hop]; an older one than was seen is thrown away."""

    judged_by = ""  # what it decides was not proposed

    def on_start(self):
        self.state = {"seen": self.stored or [0, 0], "holds": False, "waiting": []}
        self.wait()

    def wait(self):
        self.set_timer("lost", PATIENCE * (1 + self.random.random()))

    def on_propose(self, value, ticket):
        self.state["waiting"].append(ticket)

    def on_message(self, sender, token):
        if token > self.state["seen"]:  # else it came twice, or another has been made since
            self.enter(token)

    def enter(self, token):
        self.state["seen"], self.state["holds"] = token, True
        self.persist(token)
        self.clear_timer("lost")
        self.decide(token[0] << 32 | token[1], f"n{self.id} works")  # as the replies: once that is durable
        for ticket in self.state["waiting"]:
            self.reply(ticket)
        self.state["waiting"] = []
        self.set_timer("leave", WORK)

    def on_timer(self, name):
        epoch, hop = self.state["seen"]
        if name == "leave":
            self.state["holds"] = False
            self.send(self.id % (len(self.peers) + 1) + 1, [epoch, hop + 1])
            self.wait()
        else:  # a new epoch, which is this node's own
            self.enter([(epoch // 256 + 1) * 256 + self.id, 0])


def one_holder(run):
    """No hop of a token is held twice."""
    held = [decision.instance for decision in run.decisions]
    assert len(held) == len(set(held)), "a token was held twice"


if __name__ == "__main__":
    with q.Cluster(TokenRing, nodes=4, seed=5) as c:
        print(c.propose("work"))
        c.crash(2)
        print(c.propose("work without n2"))
    print(q.grade(TokenRing, seeds=20, events=3000, properties=[one_holder]))
