"""A generation's way through the journal: from its first record, or from where it was seeded, to the newest and on.

The journal holds every change before it is worked on, so it is build, catch-up and live feed in one: the follower asks for
what came after its place, gives it to the generation's pipeline, and keeps its place in a file once that is done. A place
that is kept too early cannot be: what is applied twice changes nothing.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog

from indexer.batch.pipeline import Pipeline
from indexer.journal import SqliteChangeJournal
from indexer.ports import DeadLetterSink
from indexer.records import DeadLetter
from retrieval.encoders.sharing import Urgency, on_behalf_of
from runtime.files import atomic_write
from runtime.retry import BackoffPolicy

log = structlog.get_logger(__name__)

_LOOK_EVERY_S: Final = 0.03
FOLLOWER_BACKOFF: Final = BackoffPolicy(base_s=0.2, cap_s=5.0)
"""How a follower that ended by an error is started again."""


@dataclass(frozen=True, slots=True)
class PlaceFile:
    """The place in the journal, in a file of the generation's folder."""

    path: Path

    def read(self) -> int | None:
        """The place; None where there is none, or the file is torn."""
        try:
            return int(orjson.loads(self.path.read_bytes())["after"])
        except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return None

    def write(self, after: int) -> None:
        """Keep the place, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path, orjson.dumps({"after": after}), durable=False)

    def forget(self) -> None:
        """Everything is to be applied again."""
        self.path.unlink(missing_ok=True)


class JournalFollower:
    """Feeds one pipeline from the journal. Runs on the pipeline's event loop; the rest may be used from any thread."""

    def __init__(self, journal: SqliteChangeJournal, pipeline: Pipeline, place: PlaceFile, *, after: int) -> None:
        self._journal = journal
        self._pipeline = pipeline
        self._place = place
        self._asked = False
        self.after = after
        """The place of the newest record that is in the generation's stores."""

    async def run(self) -> None:
        """Follow until it is asked to end.

        Raises:
            RetryableError: a store did not answer. Nothing is lost: started again, it goes on from its place.
        """
        while not self._asked:
            await self.turn()
            await asyncio.sleep(_LOOK_EVERY_S)

    def ask_to_end(self) -> None:
        """Let `run` return after the slice in hand."""
        self._asked = True

    async def turn(self) -> None:
        """Take in what the journal holds beyond our place now."""
        kind = Urgency.LIVE
        async for slice_ in self._journal.read(after=self.after):
            with on_behalf_of(kind):
                await self._pipeline.process(slice_.records)
            kind = Urgency.BULK  # what has piled up is a backlog: live changes and queries go before it
            self.after = slice_.last
            self._place.write(slice_.last)
            if self._asked:
                return


class LeftToMain:
    """A `DeadLetterSink` that leaves to `main` what the parse finds: it reads the same journal and has sent it, or will.

    What a later stage finds may be this generation's own, and is sent with the others.
    """

    def __init__(self, own: DeadLetterSink) -> None:
        self._own = own
        self.found: Counter[str] = Counter()
        """What was sent, by reason."""

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        """Bury what is ours; the rest is counted in the log."""
        ours = [letter for letter in letters if letter.stage != "parse"]
        log.debug("dead letters are left to main", letters=len(letters) - len(ours))
        self.found.update(letter.reason for letter in ours)
        if ours:
            await self._own.send(ours)
