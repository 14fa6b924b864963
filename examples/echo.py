"""A protocol of your own: a value is done when a majority has echoed it. Graded under drawn faults."""

import quorate as q


class Echo(q.Node):
    """Asks all others to say a value back, until a majority has."""

    def on_start(self):
        self.state = {"waiting": {}}  # ticket -> [value, who has echoed it]; gone when the node crashes

    def on_propose(self, value, ticket):
        self.state["waiting"][ticket] = [value, [self.id]]
        self.send_all(["ping", ticket, value])
        self.set_timer("again", 0.05)

    def on_message(self, sender, message):
        kind, ticket, value = message
        if kind == "ping":
            self.send(sender, ["pong", ticket, value])
        elif ticket in self.state["waiting"]:
            echoed = self.state["waiting"][ticket][1]
            if sender not in echoed:  # a message may come twice
                echoed.append(sender)
            if 2 * len(echoed) > len(self.peers) + 1:
                del self.state["waiting"][ticket]
                self.reply(ticket, value)

    def on_timer(self, name):
        for ticket, (value, _) in self.state["waiting"].items():  # a message may be lost
            self.send_all(["ping", ticket, value])
        if self.state["waiting"]:
            self.set_timer("again", 0.05)


if __name__ == "__main__":
    with q.Cluster(Echo, nodes=3, seed=1) as c:
        print(c.propose("hello").answer)
        c.isolate(3)
        print(c.propose("two are a majority").answer)
        print(c.inspect(1))
    print(q.grade(Echo, seeds=20, events=3000))
