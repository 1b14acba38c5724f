"""Admission by deadline: who is let in, so that whoever is let in is answered in time. Pure: time is passed in.

By Little's law (J. D. C. Little, "A proof for the queuing formula L = λW", 1961) one of n requests in a system that
finishes r a second stays n / r seconds. Each request that ends tells the seconds for each request beside it, w / n; from
those the expected stay of the next one is known before it is let in, and one that would stay too long is refused at once.
So the queue is bounded by the time that it means: the bound in requests follows the machine, a slower hour or a dearer
query, by itself.

This is the aim of adaptive concurrency limits ("Performance Under Load", Netflix, 2018, after TCP Vegas), which look for
the limit by trying; here the deadline is given, so that nothing has to be tried: the limit is what the deadline means at
the pace that is measured.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_FORGET_S: Final = 0.4
"""Time constant with which measurements fade: a machine that is slower or faster is followed within a second or two."""

_KEPT_AT_LEAST: Final = 0.01
"""Weight of all that was measured before, however long ago: after a quiet night the last known pace is the best guess."""

_RESERVE: Final = 0.25
"""Part of the limit above it, for tenants that hold less than their share while others fill the room."""

_LEFT_AT_LEAST: Final = 0.4
"""Part of the time that is left for an answer however late the process is to look at what comes."""

_FIRST_GUESS: Final = 16
"""Requests at once that meet the deadline, before any was measured."""


class Reason(StrEnum):
    """Why a request was not let in."""

    DEADLINE = "deadline"
    """It would have stayed longer than its class may."""
    FULL = "full"
    """Its class holds as many as it ever may."""
    SHARE = "share"
    """Its tenant holds its share, and others need theirs."""
    ENCODER = "encoder"
    """The encoder's queue is longer than the query's deadline."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What one class of requests may hold: `most` units (a request is one, unless its size counts); where `within_s` is given, only what is answered within it.

    `least` are let in whatever was measured: a handful is no queue, and one stall must not close the door. Tenants below
    their share get a quarter beyond, where others fill the room.
    """

    most: int
    within_s: float | None = None
    least: int = 4


@dataclass(frozen=True, slots=True)
class Place:
    """One request that was let in: whose it is, when it entered, how much was inside then, itself included, and its part."""

    tenant: str
    entered: float
    among: int
    units: int = 1


@dataclass(frozen=True, slots=True)
class Refused:
    """One request that was not let in, and the seconds after which it is worth asking again."""

    reason: Reason
    retry_after_s: int


class Pace:
    """Seconds that a stay takes for each request in the system, measured from those that ended.

    Over (n, w), requests beside each other and the stay, it is Σw² / Σnw: the mean that a second of staying sees, not
    that which a request sees. Quick answers (a cached query, a mistake in the request) then hide no slow ones.
    """

    def __init__(self, *, stay_s: float, among: float) -> None:
        """Begin with a guess: so long a stay among so many, as if one had been measured."""
        self._squares = stay_s * stay_s
        self._products = stay_s * among
        self._at = math.inf

    @property
    def seconds_each(self) -> float:
        """The stay for each request in the system."""
        return self._squares / self._products

    def measured(self, stay_s: float, among: float, now: float) -> None:
        """Take one request that ended into account."""
        kept = max(_KEPT_AT_LEAST, math.exp(min(0.0, self._at - now) / _FORGET_S))
        self._at = now
        self._squares = kept * self._squares + stay_s * stay_s
        self._products = kept * self._products + stay_s * among


class Admission:
    """The door of one class of requests. Used from one thread; a tenant has an entry only while it holds something."""

    def __init__(self, bound: Bound) -> None:
        self._bound = bound
        self._inside = 0
        self._late_s = 0.0
        self._held: dict[str, int] = {}
        self._pace = None if bound.within_s is None else Pace(stay_s=bound.within_s, among=_FIRST_GUESS)

    @property
    def inside(self) -> int:
        """Units that were let in and have not left."""
        return self._inside

    @property
    def tenants(self) -> int:
        """Tenants that hold something."""
        return len(self._held)

    @property
    def limit(self) -> float:
        """How many may be inside now."""
        bound = self._bound
        if self._pace is None or bound.within_s is None:
            return bound.most
        left_s = max(_LEFT_AT_LEAST * bound.within_s, bound.within_s - self._late_s)
        return min(bound.most, max(bound.least, left_s / self._pace.seconds_each))

    @property
    def expected_s(self) -> float:
        """How long the next one would stay; 0 where stays are not measured."""
        return 0.0 if self._pace is None else (self._inside + 1) * self._pace.seconds_each

    def behind(self, late_s: float) -> None:
        """Requests are so old when they come here: the process was late to look at them, and that is of their time."""
        self._late_s = late_s

    def closed(self) -> Refused | None:
        """Why nobody could enter now, whoever asked: known before anything of the request is read."""
        return self._refused(self._full) if self._inside >= self._ceiling else None

    def enter(self, tenant: str, now: float, *, units: int = 1) -> Place | Refused:
        """Let one request of the tenant in, or say why not.

        A tenant alone may fill the room. Where others are inside too, one that holds less than its share still enters,
        by a reserve above the limit, and one that holds more waits until the room is no longer full: so what a tenant
        does not use others may, and it has its share back as soon as it asks.
        """
        held = self._held.get(tenant, 0)
        share = max(1.0, self.limit / (len(self._held) + (not held)))
        if self._inside >= (self._ceiling if held < share else self.limit):
            return self._refused(Reason.SHARE if held >= share and len(self._held) > 1 else self._full)
        self._inside += units
        self._held[tenant] = held + units
        return Place(tenant, now, self._inside, units)

    def leave(self, place: Place, now: float) -> None:
        """The request is answered, or given up."""
        # In a queue those count who were there before; where all are worked on at once, those on average. While the room
        # fills or empties, the smaller of the two promises no pace that is not there.
        among = min(place.among, (place.among + self._inside) / 2)
        self._inside -= place.units
        held = self._held[place.tenant] - place.units
        if held:
            self._held[place.tenant] = held
        else:
            del self._held[place.tenant]
        # A stay in a room that is half empty says little of one that is full.
        if self._pace is not None and among >= self.limit / 2 and now > place.entered:
            self._pace.measured(now - place.entered, among, now)

    @property
    def _full(self) -> Reason:
        return Reason.FULL if self.limit >= self._bound.most else Reason.DEADLINE

    @property
    def _ceiling(self) -> float:
        """The limit with the reserve, which a tenant that is alone never reaches: its share is the limit."""
        return self.limit + max(1.0, _RESERVE * self.limit)

    def _refused(self, reason: Reason) -> Refused:
        return Refused(reason, max(1, math.ceil(self.expected_s)))
