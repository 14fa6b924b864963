"""A counter by gossip: every node counts for itself, and the counts meet. No leader, and nobody waits."""

import quorate as q


class GossipCounter(q.Node):
    """A grow-only counter: one number a node, joined by the larger."""

    def on_start(self):
        self.state = {"counts": self.stored or {self.id: 0}}
        self.on_timer("gossip")

    def on_propose(self, value, ticket):
        self.state["counts"][self.id] += 1
        self.persist(self.state["counts"])  # the reply waits until this is durable
        self.reply(ticket, str(sum(self.state["counts"].values())))

    def on_timer(self, name):
        self.send(self.random.choice(self.peers), self.state["counts"])
        self.set_timer("gossip", 0.02)

    def on_message(self, sender, message):
        counts = self.state["counts"]
        for node, count in message.items():
            counts[node] = max(counts.get(node, 0), count)


def counts_meet(run):
    """Two seconds after the last fault all nodes know the same counts, and nothing that was answered is
    lost.
    """
    run.cluster.run(2)
    counts = list(run.states.values())
    answered = sum(event["detail"] == 0 for event in run.events("return"))
    assert all(state == counts[0] for state in counts), f"the counts differ: {counts}"
    assert sum(counts[0]["counts"].values()) >= answered, (
        f"{answered} were answered, but {counts[0]} is known"
    )


if __name__ == "__main__":
    with q.Cluster(GossipCounter, nodes=5, seed=3) as c:
        for node in c.nodes:
            c.propose("one more", node=node)
        c.run(1)
        print(c.inspect(1))
    print(q.grade(GossipCounter, seeds=20, events=3000, properties=[counts_meet]))
