"""What one generation's indexer does for all of them: dead letters and the diversion of snapshots. Pure decisions.

Every generation reads the same records, and each would send the same poison to the dead letters. One does: the live one. Around a move of the
pointer each hears of it a moment apart, and a record may be worked on by one generation before the move and by the other
long after it. So the generation that was live goes on sending what was logged before the move, however late it comes to
it: a letter may be there twice then, which two redrives do not mind, and none is missing.

What is set apart behind the parse (its document is not built, its text not encoded, its point refused) may be one
generation's own: another model, another collection. So each generation sends that itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from indexer.ports import DeadLetterSink
from indexer.records import DeadLetter
from retrieval.generations.view import GenerationView

log = structlog.get_logger(__name__)

OVERLAP_US: Final = 600 * 1_000_000
"""How long after a move the generation before still sends what is logged to the dead letters: longer than a move takes to be heard of."""


class Leadership:
    """One generation's place among the others; `view` is renewed by whoever follows the control log."""

    def __init__(self, name: str, view: GenerationView | None = None) -> None:
        self.name = name
        self.view = view or GenerationView()
        self.found: Counter[str] = Counter()
        """Letters by reason that a stage behind the parse wrote: they may be of this generation alone."""

    @property
    def is_live(self) -> bool:
        """Whether it answers queries, as far as is known here."""
        return self.view.live == self.name

    def sends_to_dlq(self, logged_us: int) -> bool:
        """Whether a record that was logged then (microseconds since 1970) is sent to the dead letters by this generation."""
        pointer = self.view.pointer
        return self.is_live or (pointer.previous == self.name and logged_us < pointer.moved_us + OVERLAP_US)


class LeaderDeadLetterSink:
    """A `DeadLetterSink` that leaves to the live generation what is the live generation's to send."""

    def __init__(self, sink: DeadLetterSink, leadership: Leadership) -> None:
        self._sink = sink
        self._leadership = leadership

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Send what is ours, and what this generation alone may have found; the rest is counted in the log."""
        self._leadership.found.update(letter.reason for letter in letters if letter.stage != "parse")
        ours = [
            letter
            for letter in letters
            if letter.stage != "parse" or self._leadership.sends_to_dlq(letter.record.timestamp_ms * 1000)
        ]
        if len(ours) < len(letters):
            log.info(
                "dead letters are left to the live generation",
                generation=self._leadership.name,
                live=self._leadership.view.live,
                letters=len(letters) - len(ours),
            )
        if ours:
            await self._sink.send(ours)
