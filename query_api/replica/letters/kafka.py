"""The dead-letter topic as a replica's letter box."""

from __future__ import annotations

from collections.abc import Sequence

from query_api.replica.letters.letter import ReplicaLetter
from runtime.log_writer import LogWriter, OutboundRecord
from schemas.errors import ConfigurationError
from schemas.topics import SMALLEST_RECORD_BYTES


class KafkaLetterBox:
    """The port `LetterBox` on one topic. The writer connects with the first letter, and stays its owner's to stop."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Append letters; one that the topic does not take goes in its smallest form.

        Raises:
            LogUnavailableError: not all were confirmed.
            ConfigurationError: we may not write to the topic, or it takes not even the smallest form.
        """
        for most in (self._writer.limit(self._topic), SMALLEST_RECORD_BYTES):
            records = [OutboundRecord(*letter.fitting(most)) for letter in letters]
            refusals = await self._writer.append_each(self._topic, records)
            letters = [letter for letter, refusal in zip(letters, refusals, strict=True) if refusal is not None]
            if not letters:
                return
        reason = next(refusal for refusal in refusals if refusal is not None)
        raise ConfigurationError(f"topic {self._topic} takes no dead letter: {reason}; correct its configuration")
