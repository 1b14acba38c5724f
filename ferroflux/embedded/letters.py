"""The dead letters of the embedded system's replicas: kept in its file first, then passed on to the topic for whoever tails it."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.deadletters.file import DeadLetterFile
from query_api.replica.tailing.letters import LetterBox, ReplicaLetter
from schemas.topics import LARGEST_RECORD_BYTES


class KeptLetterBox:
    """A `LetterBox` that keeps letters in the file before it passes them on."""

    def __init__(self, file: DeadLetterFile, onward: LetterBox) -> None:
        self._file = file
        self._onward = onward

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Keep and pass on; durable when it returns."""
        await self._file.append([letter.fitting(LARGEST_RECORD_BYTES) for letter in letters])
        await self._onward.send(letters)
