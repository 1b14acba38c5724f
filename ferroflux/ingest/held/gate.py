"""Looks at what changes meet before they are sent, and says once what a person should know.

Where it cannot be looked, everything is sent as it would be without looking, and a warning says so: the indexer merges by
versions all the same, so nothing is lost by it but the word beforehand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ferroflux.ingest.held.verdict import MAX_AHEAD_US, Judged, Rules, Verdict, lead_us
from ferroflux.ingest.held.versions import HeldVersions, Look, NotLookedError, VersionRefusedError
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.errors import UndeclaredSourceError
from schemas.product.changes import ChangeEvent
from schemas.product.sources import DEFAULT_SOURCE, epoch_taken

CLOCK_DIFFERS_US: Final = 5 * 1_000_000
"""What two clocks that are kept never differ by, with the time of a request between them."""

_CANNOT: Final = (Verdict.CANNOT_WIN, Verdict.FROZEN)


@dataclass(slots=True)
class Gate:
    """Judges changes of one source by looking. `force` lets pass what would be refused; `on_note` gets each warning once."""

    held: HeldVersions
    rules: Rules
    source: str = DEFAULT_SOURCE
    force: bool = False
    on_note: Callable[[str], None] = lambda _: None
    clock: Clock = SYSTEM_CLOCK
    looks: bool = True
    """False from the first look on that was not possible."""
    _noted: set[str] = field(default_factory=set)

    async def judge(self, changes: Sequence[ChangeEvent]) -> list[Judged]:
        """What becomes of each change.

        Raises:
            FerrofluxError: the server refuses us.
        """
        if not self.looks or not changes:
            return [Judged(Verdict.UNKNOWN)] * len(changes)
        before_us = self.clock.now_us()
        try:
            look = await self.held.look({(change.key, change.facet): None for change in changes})
        except NotLookedError as error:
            self.looks = False
            self._note(
                "looked",
                f"it was not looked whether these changes can win over what is there: {error}. They are sent all the same; "
                "--no-look says that they may be",
            )
            return [Judged(Verdict.UNKNOWN)] * len(changes)
        now_us = self._now_us(look, before_us)
        return [self._judged(change, look, now_us) for change in changes]

    def require_that_some_can_win(self, judged: Sequence[Judged]) -> None:
        """For the first changes of many: refuse all of them at once.

        Raises:
            VersionRefusedError: one of them would freeze what is there, or none of them can win.
        """
        harm = next((one for one in judged if one.verdict.harms), None)
        if harm is None and judged and all(one.verdict in _CANNOT for one in judged):
            harm = judged[0]
        if harm is not None and not self.force:
            raise VersionRefusedError(f"nothing was sent by this run: {harm.reason}")

    def _judged(self, change: ChangeEvent, look: Look, now_us: int) -> Judged:
        history = look.histories.get((change.key.tenant, change.facet), ())
        try:
            # The epoch that the indexer will give it: it compares before the sequence does.
            epoch = epoch_taken(history, self.source, change.version.epoch, now_us // 1_000)
        except UndeclaredSourceError as error:
            return Judged(Verdict.CANNOT_WIN, f"{change.key}, {change.facet}: {error}")
        stamp = replace(change.stamp, version=replace(change.version, epoch=epoch))
        judged = self.rules.judge(stamp, look.held.get((change.key, change.facet)), now_us)
        judged = Judged(judged.verdict, f"{change.key}, {change.facet}: {judged.reason}") if judged.reason else judged
        if self.force and judged.verdict in _CANNOT:
            return Judged(Verdict.OLDER, judged.reason)
        if self.force and judged.verdict.harms:
            self._note(judged.verdict, f"sent all the same, as --force says: {judged.reason}")
            return Judged(Verdict.APPLIES)
        if not judged.verdict.refused and lead_us(change.version, now_us) > MAX_AHEAD_US:
            self._note(
                "ahead",
                f"version {change.version} lies ahead of the clock: it wins over every change until that time, and indexers may "
                "refuse it",
            )
        return judged

    def _now_us(self, look: Look, before_us: int) -> int:
        after_us = self.clock.now_us()
        if look.now_us is None:
            return after_us
        middle_us = (before_us + after_us) // 2
        differs_us = middle_us - look.now_us
        if abs(differs_us) > CLOCK_DIFFERS_US + (after_us - before_us) // 2 and self.rules.by_clock:
            where = "ahead of" if differs_us > 0 else "behind"
            self._note(
                "clock",
                f"this machine's clock is {abs(differs_us) // 1_000_000:,} s {where} the server's, and stamps the versions: changes "
                f"that others make meanwhile may lose against these, or win. Set it, or give the version with {self.rules.option}",
            )
        return look.now_us

    def _note(self, about: str, sentence: str) -> None:
        if about not in self._noted:
            self._noted.add(about)
            self.on_note(sentence)
