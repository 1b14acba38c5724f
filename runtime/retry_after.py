"""How a client of ours takes a refusal: it rests as long as the server asks, and somewhat longer, each client differently.

Those who were refused together would otherwise come back together and be refused again.
"""

from __future__ import annotations

import random
from typing import Final

TRIES: Final = 4
"""How often one request is sent before its refusal is told to whoever asked."""

_LONGEST_S: Final = 30.0
"""A server that asks for more is down, not busy: whoever asked should hear of it."""

_SPREAD: Final = 0.5
"""Part of the rest that is drawn on top of it."""


def rest_s(retry_after: str | None, otherwise_s: float, rng: random.Random) -> float:
    """Seconds to rest before the next try; `otherwise_s` where the answer names none, or a date."""
    asked = float(retry_after) if retry_after is not None and retry_after.isdecimal() else otherwise_s
    return min(_LONGEST_S, asked) * (1 + rng.uniform(0, _SPREAD))
