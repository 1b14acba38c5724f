"""Trying again: `retry` for a call, `Backoff` for a loop with more of its own; one policy, exponential with full jitter.

"Full jitter" is that of Brooker, *Exponential Backoff and Jitter*, 2015: a rest is drawn uniformly from zero to the bound, so
that many workers that failed as one do not come back as one. A client that a server refused rests as long as the server asks, and
somewhat longer, each client differently, for the same reason.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog

from runtime.clock import Sleep
from schemas.errors import FerrofluxError, RetryableError

log = structlog.get_logger(__name__)

T = TypeVar("T")


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


async def retry(
    work: Callable[[], Awaitable[T]],
    what: str,
    *,
    backoff: Backoff,
    errors: type[FerrofluxError] = RetryableError,
    attempts: int | None = None,
    sleep: Sleep = asyncio.sleep,
    failed: Callable[[FerrofluxError, float], None] = lambda _error, _rest_s: None,
) -> T:
    """Await `work()` until it succeeds, at most `attempts` times (None: for ever); returns its result.

    Each failure that is tried again is logged as `what`, with its reason and the rest, and told to `failed`. Work that goes
    on for long resets the backoff itself once it got somewhere.

    Raises:
        errors: the last attempt's. Any other error comes through at once.
    """
    attempt = 1
    while True:
        try:
            return await work()
        except errors as error:
            if attempt == attempts:
                raise
            rest = backoff.next()
            log.warning(what, code=error.code, error=str(error), attempt=attempt, again_in_s=round(rest, 3))
            failed(error, rest)
            await sleep(rest)
        attempt += 1


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
