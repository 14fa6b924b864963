"""What a crowd of clients asks of a cluster: seeded data, run by actors beside the nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from quorate._json import read, written
from quorate.errors import RangeError


@dataclass(frozen=True)
class Workload:
    """`clients` actors ask `operations` things in all (0: until ``stop_load``), overlapping in time.

    `mix` gives each operation's weight, such as ``{"get": .5, "put": .3, "cas": .2}``; None: the machine's
    own mix. Keys are drawn from `keys` names, uniformly or with the Zipf-like exponent `key_skew`; values
    have `value_size` bytes and are all different. An operation that is not answered within `timeout` seconds
    ends unknown. `retry`: True, False, or the seconds after which the next node is asked. `think` is the mean
    pause between two operations, in seconds. None stands for the core's default.
    """

    clients: int = 8
    operations: int = 2000
    mix: Mapping[str, float] | None = None
    keys: int | None = None
    key_skew: float | None = None
    value_size: int | None = None
    timeout: float | None = None
    retry: bool | float | None = None
    think: float | None = None
    machine: str | None = None

    def to_json(self) -> str:
        """As the core reads it."""
        values = asdict(self)
        if self.mix is not None:
            values["mix"] = dict(self.mix)
        return written({name: value for name, value in values.items() if value is not None})

    def must_end(self) -> None:
        """Raises RangeError where it would be waited for without end."""
        if not self.operations:
            raise RangeError("a workload without end cannot be waited for: wait=False")

    @classmethod
    def from_json(cls, text: str) -> Workload:
        """From such text. Unknown fields raise TypeError here; ranges are checked when it is loaded."""
        return cls(**read(text))
