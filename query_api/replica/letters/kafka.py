"""The dead-letter topic as a replica's letter box."""

from __future__ import annotations

from collections.abc import Sequence

from query_api.replica.letters.letter import ReplicaLetter
from runtime.kafka.fitting import append_letters
from runtime.kafka.log_writer import LogWriter


class KafkaLetterBox:
    """The port `LetterBox` on one topic. The writer connects with the first letter, and stays its owner's to stop."""

    def __init__(self, writer: LogWriter, topic: str) -> None:
        self._writer = writer
        self._topic = topic

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        """Append letters; each in a form that the topic takes.

        Raises:
            LogUnavailableError: not all were confirmed.
            ConfigurationError: we may not write to the topic, or it takes not even the smallest form.
        """
        await append_letters(self._writer, self._topic, letters, ReplicaLetter.fitting)
