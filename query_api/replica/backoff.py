"""How long to wait before the log is tried again: exponential, with jitter, so that many workers do not come back as one."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Waits of `first * 2**n` seconds up to `most`, each shortened by a random half (AWS's *equal jitter*)."""

    first: float
    most: float
    uniform: random.Random = field(default_factory=random.Random)
    tries: int = 0

    def next(self) -> float:
        """Seconds to wait before the next try."""
        whole = min(self.most, self.first * 2.0 ** min(self.tries, 32))
        self.tries += 1
        return whole / 2 + self.uniform.uniform(0, whole / 2)

    def reset(self) -> None:
        """Begin anew after a success."""
        self.tries = 0
