"""Percentiles of times."""

from collections.abc import Sequence

import numpy as np


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """`p50`, `p95` and `p99` of the values; empty without values."""
    if not values:
        return {}
    return {f"p{percent}": float(np.percentile(values, percent)) for percent in (50, 95, 99)}
