"""What would become of a change, given the version that its facet holds. Pure: the commands look, this decides.

A change is refused where it could not win whatever its content, or where it would win over every later change of the
source that feeds the facet. A row that is merely older than what is there is no fault: it is counted and not sent.

Versions of two counts do not compare: a log position (10^11) against microseconds (10^15) lets the larger count win for
ever. A version does not say which count it belongs to, but its magnitude does (`scale_of`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from ferroflux.ingest.held.versions import Held
from schemas.events.admission import DEFAULT_MAX_AHEAD_S
from schemas.version import MAX_SEQUENCE, SourceVersion, Stamp

MAX_AHEAD_US: Final = int(DEFAULT_MAX_AHEAD_S * 1_000_000)
"""How far ahead of the clock a version may lie: as far as an indexer lets one in, unless it is set otherwise there."""

_HANDOVER: Final = "`ferroflux facet handover --help` says how a facet is handed from one source to another"
_RESET: Final = "`ferroflux facet reset --help` says how a frozen facet is freed"


class Verdict(StrEnum):
    """What would become of a change."""

    FREE = "free"
    """Nothing is held."""
    APPLIES = "applies"
    """Newer by the same count, or of a later epoch."""
    EQUAL = "equal"
    """The very same is held."""
    OLDER = "older"
    """What is held is newer by the same count."""
    CANNOT_WIN = "cannot_win"
    """Of another count, whose numbers are smaller, or of an earlier epoch."""
    FROZEN = "frozen"
    """What is held lies ahead of the clock: nothing that a clock stamps wins before that time."""
    FREEZES = "freezes"
    """Of another count, whose numbers are larger: it would win over every later change of the source."""
    AHEAD = "ahead"
    """Stamped by a clock that is ahead: it would win over every change until that time."""
    UNKNOWN = "unknown"
    """It was not looked."""

    @property
    def refused(self) -> bool:
        """Whether the change is not sent unless somebody insists."""
        return self in _REFUSED

    @property
    def harms(self) -> bool:
        """Whether sending it would freeze what is there."""
        return self in (Verdict.FREEZES, Verdict.AHEAD)


_REFUSED: Final = frozenset({Verdict.CANNOT_WIN, Verdict.FROZEN, Verdict.FREEZES, Verdict.AHEAD})


@dataclass(frozen=True, slots=True)
class Judged:
    """A verdict, and for one that refuses or is older its reason with the remedy."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a command judges: `option` gives a version by hand; `by_clock` says that none was given, so the clock stamps."""

    option: str
    by_clock: bool

    def judge(self, stamp: Stamp, held: Held | None, now_us: int) -> Judged:
        """What becomes of a change with this stamp where `held` is there. `now_us` is the server's time where it is known."""
        version = stamp.version
        if is_largest(version):
            return Judged(
                Verdict.FREEZES,
                f"version {version} is the largest of its epoch: nothing after it could win, which would freeze the product. "
                f"Give a smaller one with {self.option}",
            )
        if self.by_clock and lead_us(version, now_us) > MAX_AHEAD_US:
            return Judged(
                Verdict.AHEAD,
                f"version {told(version)} lies {_span(lead_us(version, now_us))} ahead of the clock: until then it would win over "
                f"every correction. Set the clock of the machine that stamps, or give the version with {self.option}",
            )
        if held is None:
            return Judged(Verdict.FREE)
        return self._against(stamp, held, now_us)

    def _against(self, stamp: Stamp, held: Held, now_us: int) -> Judged:
        version, there = stamp.version, held.stamp.version
        if version == there:
            return _of_twins(stamp, held)
        if version.epoch != there.epoch:
            return self._by_epoch(version, there)
        # Version 0 is what a repair writes for a row whose source is not known to count: it belongs to nobody.
        if there.sequence and differ(version, there):
            return self._of_two_counts(version, held)
        return Judged(Verdict.APPLIES) if version > there else _of_one_count(version, held, now_us)

    def _by_epoch(self, version: SourceVersion, there: SourceVersion) -> Judged:
        if version > there:
            return Judged(Verdict.APPLIES)
        return Judged(
            Verdict.CANNOT_WIN,
            f"what is there is of a later epoch ({there}), so no version of epoch {version.epoch} can win over it. Give --epoch "
            f"{there.epoch} if this source feeds the facet now; {_HANDOVER}",
        )

    def _of_two_counts(self, version: SourceVersion, held: Held) -> Judged:
        there = held.stamp.version
        counts = f"version {told(version)} is {scale_of(version)}, what is there ({told(there)}) is {scale_of(there)}"
        if version > there:
            return Judged(
                Verdict.FREEZES,
                f"{counts}: it would win over every later change of the source that counts so, and freeze the product. Give a "
                f"version of that count with {self.option}; {_HANDOVER}; --force sends it all the same",
            )
        return Judged(
            Verdict.CANNOT_WIN,
            f"{counts}: it can never win. Give a version of that count with {self.option}; {_HANDOVER}",
        )


def _of_twins(stamp: Stamp, held: Held) -> Judged:
    """Two rows of one version: the merge orders them by their content."""
    if stamp == held.stamp:
        return Judged(Verdict.EQUAL)
    if stamp > held.stamp:
        return Judged(Verdict.APPLIES)
    return Judged(
        Verdict.OLDER,
        f"another row is there with the same version {told(stamp.version)}, and of the two it is the one that stays",
    )


def _of_one_count(version: SourceVersion, held: Held, now_us: int) -> Judged:
    """A change that is older by the same count: whether what is there is newer, or only ahead."""
    there = held.stamp.version
    if lead_us(there, now_us) > MAX_AHEAD_US:
        return Judged(
            Verdict.FROZEN,
            f"what is there is newer: its version {told(there)} lies {_span(lead_us(there, now_us))} ahead of the clock, so "
            f"nothing stamped by a right clock wins before then. {_RESET}",
        )
    return Judged(Verdict.OLDER, f"older ({told(version)}) than what is there ({told(there)}{_age(held, now_us)})")


def lead_us(version: SourceVersion, now_us: int) -> int:
    """How far a version that is microseconds of a clock lies ahead of this time; 0 for any other."""
    return max(0, version.sequence - now_us) if scale_of(version) is Scale.MICROSECONDS else 0


def _age(held: Held, now_us: int) -> str:
    age_us = now_us - held.changed_at_us
    return f", changed {_span(age_us)} ago" if held.changed_at_us and age_us >= 0 else ""


def _span(us: int) -> str:
    seconds = us // 1_000_000
    for unit, name in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:,} {name}"
    return f"{seconds:,} s"


_FIRST_S: Final = int(datetime(2001, 1, 1, tzinfo=UTC).timestamp())
_END_S: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())

_NEAR: Final = 16
"""Two numbers of one count lie within this factor where its growth alone takes it into another scale's range.

A log position may pass the smallest number of milliseconds (10^12) in the middle of its life. From one clock's unit to the
next it is a thousand, from the positions of a busy log to microseconds a hundred or more.
"""


class Scale(StrEnum):
    """What a sequence looks like."""

    COUNT = "a count or a log position"
    SECONDS = "seconds of a clock"
    MILLISECONDS = "milliseconds of a clock"
    MICROSECONDS = "microseconds of a clock"


def scale_of(version: SourceVersion) -> Scale:
    """By magnitude: what lies from 2001 to 2100 in a unit of time is taken for a time in it."""
    for scale, unit in ((Scale.MICROSECONDS, 1_000_000), (Scale.MILLISECONDS, 1_000), (Scale.SECONDS, 1)):
        if _FIRST_S * unit <= version.sequence < _END_S * unit:
            return scale
    return Scale.COUNT


def differ(one: SourceVersion, other: SourceVersion) -> bool:
    """Whether two versions are of different counts: of different scales, and too far apart to be growth."""
    low, high = sorted((one.sequence, other.sequence))
    return scale_of(one) is not scale_of(other) and high >= _NEAR * low


def is_largest(version: SourceVersion) -> bool:
    """Whether no version of the same epoch can be newer."""
    return version.position is None and version.sequence >= MAX_SEQUENCE


def told(version: SourceVersion) -> str:
    """A version for a person: the number, and the time where it is one."""
    if scale_of(version) is not Scale.MICROSECONDS:
        return str(version)
    at = datetime.fromtimestamp(version.sequence // 1_000_000, UTC)
    return f"{version} ({at:%Y-%m-%d %H:%M:%S} UTC)"
