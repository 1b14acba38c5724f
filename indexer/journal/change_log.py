"""Reading the change log back, as replay, rebuild and recovery do: one port, whether the log is Kafka or the journal."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from indexer.records import InboundRecord, LogId


@dataclass(frozen=True, slots=True)
class LogSlice:
    """Consecutive records of one log, in the order in which the log gave them to us.

    `last` is the place of the last of them in whatever keeps the history: reading `after` it goes on behind it, whatever was
    forgotten meanwhile.
    """

    log_id: LogId
    records: tuple[InboundRecord, ...]
    last: int = 0


class ChangeLog(Protocol):
    """The history of changes as it was logged."""

    def read(
        self,
        *,
        topic: str | None = None,
        partition: int | None = None,
        since_ms: int = 0,
        page: int = 500,
    ) -> AsyncIterator[LogSlice]:
        """Records from the oldest kept to the newest at the time of the call, at most `page` a slice.

        Per partition the order is the log's; `since_ms` leaves out records with an older log timestamp (ms since 1970).
        """
        ...
