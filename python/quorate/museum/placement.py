"""A ring of virtual nodes on which two of them may meet."""

from __future__ import annotations

import random

from quorate.ring import Ring


def last_come(naive: bool, seed: int) -> bool:
    """Where two virtual nodes fall on the same position of the ring, the later one takes the place of the
    earlier. It looks right, because positions are 32 bits wide and every node has its hundred points anyway.
    But a hundred nodes of a hundred points share about one position in a hundred rings, and where they do,
    two clients that heard of the nodes in different orders look for the same key in different places. Only a
    rule that does not ask who came first, such as the smaller name, makes the ring a function of its members.
    """
    draw = random.Random(seed)
    bits = draw.choice((16, 20, 24, 32))
    names = [f"n{draw.randrange(10**6)}-{i}" for i in range(draw.randint(3, 12))]
    other = draw.sample(names, len(names))
    bug = "ring-order-dependent" if naive else "none"
    with Ring(names, bits=bits, bug=bug) as one, Ring(other, bits=bits, bug=bug) as two:
        return one.fingerprint != two.fingerprint
