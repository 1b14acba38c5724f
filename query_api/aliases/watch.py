"""A search worker's view of the alias file: looked at often, read when it changed."""

from __future__ import annotations

import structlog

from retrieval.aliases.file import AliasFile, Stamp
from retrieval.aliases.live import LiveAliases

log = structlog.get_logger(__name__)


class AliasWatch:
    """Keeps live aliases equal to the shipped ones and the file. `look` is blocking and cheap where nothing changed."""

    def __init__(self, file: AliasFile | None, live: LiveAliases) -> None:
        self._file = file
        self._live = live
        self._stamp: Stamp | None = None

    def look(self) -> bool:
        """Take in the file if it changed; whether it did."""
        if self._file is None:
            return False
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return False
        records = self._file.read()
        self._live.replace(records)
        self._stamp = stamp
        log.info("aliases loaded", entries=len(records))
        return True
