"""How long to rest before something is tried again: the one policy of every loop, exponential with full jitter.

"Full jitter" is that of Brooker, *Exponential Backoff and Jitter*, 2015: a rest is drawn uniformly from zero to the bound, so
that many workers that failed as one do not come back as one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class BackoffPolicy:
    """Rests drawn from 0 to `min(cap_s, base_s * 2**failures)` seconds."""

    base_s: float = 0.2
    cap_s: float = 10.0

    def delay(self, failures: int, rng: random.Random) -> float:
        """Seconds to rest after the given number of failures in a row, which is at least 1."""
        return rng.uniform(0, min(self.cap_s, self.base_s * 2.0 ** min(failures, 32)))


@dataclass(slots=True)
class Backoff:
    """The rests of one loop: a policy, and how many failures in a row there were."""

    policy: BackoffPolicy
    rng: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def next(self) -> float:
        """Count a failure; seconds to rest before the next try."""
        self.failures += 1
        return self.policy.delay(self.failures, self.rng)

    def reset(self) -> None:
        """Begin anew after a success."""
        self.failures = 0
