"""Many measurements of one kind as a few figures."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """Nearest-rank percentiles, in the unit of what was measured."""

    count: int
    p50: float
    p95: float
    p99: float
    largest: float

    @classmethod
    def of(cls, measured: Sequence[float]) -> "Distribution":
        """The distribution of at least one measurement."""
        assert measured, "nothing was measured"
        ordered = sorted(measured)

        def rank(share: float) -> float:
            return round(ordered[math.ceil(len(ordered) * share) - 1], 2)

        return cls(len(ordered), rank(0.50), rank(0.95), rank(0.99), round(ordered[-1], 2))

    def as_json(self) -> dict[str, float]:
        return asdict(self)

    def __str__(self) -> str:
        return f"p50 {self.p50:,.1f} · p95 {self.p95:,.1f} · p99 {self.p99:,.1f} · longest {self.largest:,.1f} (n={self.count:,})"
