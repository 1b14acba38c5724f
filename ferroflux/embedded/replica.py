"""The text replica of one generation inside the system: its writer, its reader, and the tailer between the log and them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from ferroflux.embedded.intake.progress import LogProgress, WatchedWriter
from query_api.replica.tailing.letters import LetterBox
from query_api.replica.tailing.log import DocumentLog
from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.serving.replica_status import STATUS_FILE
from retrieval.text.factory import open_reader, open_writer
from retrieval.text.port import TextIndexReader, TextIndexWriter
from retrieval.text.settings import TextIndexSettings
from runtime.retry import Backoff, BackoffPolicy


@dataclass(slots=True)
class EmbeddedReplica:
    """`open` it, let a supervisor `run` it (again, where a run failed: each opens the writer anew), `close` it at last."""

    settings: TextIndexSettings
    topic: str
    progress: LogProgress
    open_log: Callable[[], DocumentLog]
    backoff: BackoffPolicy
    letters: LetterBox
    reader: TextIndexReader = field(init=False)
    is_new: bool = field(init=False)
    """Whether there was no index, or one that had not begun."""
    _former_log: str = ""
    _writer: TextIndexWriter | None = None
    _tailer: ReplicaTailer | None = None
    _asked: bool = False

    async def open(self) -> None:
        """Open writer and reader.

        Raises:
            FatalError: the index on disk does not fit.
        """
        self._writer = await asyncio.to_thread(open_writer, self.settings)
        checkpoint = self._writer.checkpoint()
        self.is_new = checkpoint is None
        self._former_log = "" if checkpoint is None else checkpoint.log_id
        self.reader = open_reader(self.settings)

    @property
    def not_ready(self) -> str | None:
        """What the replica waits for; None when it is whole and follows the log."""
        return "the index is being opened" if self._tailer is None else self._tailer.not_ready

    @property
    def is_reported(self) -> bool:
        """Whether it is whole and its report lies beside it: then a search worker takes it for whole."""
        return not self.not_ready and (self.settings.directory / STATUS_FILE).exists()

    async def run(self) -> None:
        """Follow the log until it is asked to end; raises what ended it before."""
        writer, self._writer = self._writer, None
        if writer is None:
            writer = await asyncio.to_thread(open_writer, self.settings)
        try:
            tailer = self._tailer = ReplicaTailer(
                WatchedWriter(writer, self.topic, self.progress, former_log=self._former_log),
                self.open_log,
                topic=self.topic,
                report_to=self.settings.directory,
                backoff=Backoff(self.backoff),
                letters=self.letters,
            )
            if self._asked:
                tailer.request_stop()
            await tailer.run()
        finally:
            self._tailer = None
            await asyncio.to_thread(writer.close)

    def ask_to_end(self) -> None:
        """Let `run` return when the commit that runs is done."""
        self._asked = True
        if self._tailer is not None:
            self._tailer.request_stop()

    async def close(self) -> None:
        """Let go of what no run has taken over."""
        writer, self._writer = self._writer, None
        if writer is not None:
            await asyncio.to_thread(writer.close)
