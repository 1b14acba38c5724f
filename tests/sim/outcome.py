"""What became of one schedule."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """Empty `failures` is a pass. `trace` is what happened, in order: simulated seconds, then what."""

    seed: int
    failures: tuple[str, ...]
    trace: Sequence[tuple[Any, ...]] = field(repr=False, default=())
    virtual_s: float = 0.0

    def report(self) -> str:
        """The readable trace of a run, failures last."""
        lines = [f"{at:9.4f}  {'  '.join(map(str, what))}" for at, *what in self.trace]
        return "\n".join([*lines, *(f"FAILURE: {failure}" for failure in self.failures)])
