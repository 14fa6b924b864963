"""The randomness of a script's node: its own stream, which forks with it and replays."""

from __future__ import annotations

import random
from typing import Any


class NodeRandom(random.Random):
    """All of random.Random, over the 64-bit draws of the node's stream in C; one draw for each number.

    It cannot be seeded. ``random()`` and whole numbers (randrange, choice, shuffle, ...) are the same on
    every machine; what goes through the machine's logarithm (gauss and its like) is not promised to be.
    """

    _node: Any = None

    def seed(self, *_: Any, **__: Any) -> None:
        """Does nothing: the seed is the cluster's."""

    def random(self) -> float:
        """Uniform in [0, 1), 53 bits."""
        return float(self._node._bits() >> 11) * 2.0**-53

    def getrandbits(self, k: int) -> int:
        """`k` bits."""
        if k < 0:
            raise ValueError("a number of bits must not be negative")
        bits = 0
        for shift in range(0, k, 64):
            bits |= self._node._bits() << shift
        return bits & ((1 << k) - 1)

    def _randbelow(self, n: int) -> int:
        """What random.Random draws whole numbers by: multiply and shift, as base/random.h does."""
        if n <= 0:
            raise ValueError(f"there is no number from 0 on below {n}")
        if n > 1 << 64:
            return int(super()._randbelow(n))  # type: ignore[misc]
        return int(self._node._bits()) * n >> 64

    def gauss(self, mu: float = 0.0, sigma: float = 1.0) -> float:
        """As normalvariate: without the second number that random.Random keeps for the next call."""
        return self.normalvariate(mu, sigma)

    def getstate(self) -> Any:
        """Refused: the state is the cluster's."""
        raise NotImplementedError("the stream belongs to the cluster, whose seed and fork decide it")

    def setstate(self, state: Any) -> None:
        """Refused, likewise."""
        self.getstate()
