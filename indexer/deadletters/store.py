"""Where dead letters are kept: one port, for Kafka's topic and for the embedded system's file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from indexer.deadletters.letter import Letter, Settlement
from indexer.records import InboundRecord


class DeadLetterStore(Protocol):
    """Every method may raise LogUnavailableError."""

    def records(self) -> AsyncIterator[Sequence[InboundRecord]]:
        """Everything that is kept, letters and markers; of one partition in order."""
        ...

    def alone(self) -> AbstractAsyncContextManager[None]:
        """While it is held, no other operator can settle letters: one who tries to go on with an older hold fails."""
        ...

    async def settle(self, letters: Sequence[Sequence[Letter]], settlement: Settlement) -> None:
        """Mark letters, each with its copies, as settled; REDRIVEN also sends the first of each to its topic again.

        Both happen or neither does, as far as the store can promise it. Only within `alone`.

        Raises:
            RecordTooLargeError, RecordRefusedError: a topic will never take one of the records; nothing was settled.
        """
        ...

    async def original(self, letter: Letter) -> InboundRecord | None:
        """The record that a truncated letter is of, whole, as its topic or the journal still holds it; None where it is gone."""
        ...
