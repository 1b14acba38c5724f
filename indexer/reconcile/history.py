"""The change log as the truth: the stores must hold at least the merge of what it still keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence

import structlog

from indexer.reconcile.ports import NO_DOCUMENTS
from indexer.records import InboundRecord, taken_ms
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.changes import ChangeEvent
from schemas.errors import PoisonError
from schemas.events.outcome import Changes
from schemas.events.parser import EventParser
from schemas.version import SourceVersion

log = structlog.get_logger(__name__)


class ChangeLogTruth:
    """Every change that the log keeps. A record that is no event went to the dead letters when it was indexed."""

    name = "log"
    exact = False
    versioned = True
    facets: frozenset[str] = frozenset()
    documents = NO_DOCUMENTS
    read_at: SourceVersion | None = None

    def __init__(
        self,
        records: Callable[[], AsyncIterator[Sequence[InboundRecord]]],
        parser: EventParser,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`records` gives the log's records, a page at a time, from the oldest kept to the newest at the call."""
        self._records = records
        self._parser = parser
        self._clock = clock
        self.rejected = 0

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The changes of each page of records."""
        async for records in self._records():
            yield [event for record in records for event in self._events(record)]

    def _events(self, record: InboundRecord) -> tuple[ChangeEvent, ...]:
        try:
            taken = taken_ms(record, self._clock.now_us() // 1_000)
            parsed = self._parser.parse(record.key, record.value, taken_ms=taken)
        except PoisonError as error:
            self.rejected += 1
            log.debug("record is no change", coordinates=record.coordinates, reason=str(error))
            return ()
        return parsed.events if isinstance(parsed, Changes) else ()
