"""The alias file: all entries of the topic as one JSON lines file beside the text replica, for the workers of a machine.

One process follows the topic and writes; search workers look at the file's stamp and read it when it changed. It is
replaced whole, so that a reader never sees half, and it keeps the entries over a restart of a broker that does not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from retrieval.aliases.live import LiveAliases
from runtime.files import Stamp, atomic_write, stamp_of
from runtime.isolation import Reason, concerns_one
from schemas.records.aliases import AliasRecord

log = structlog.get_logger(__name__)

FILE_NAME: Final = "aliases.jsonl"


@dataclass(frozen=True, slots=True)
class AliasFile:
    """The file in one folder."""

    folder: Path

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.folder / FILE_NAME

    def stamp(self) -> Stamp | None:
        """What changes whenever the content does; None where there is no file."""
        return stamp_of(self.path)

    def read(self) -> tuple[AliasRecord, ...]:
        """The entries; none where there is no file. A line that is no entry is logged and passed over."""
        try:
            lines = self.path.read_bytes().splitlines()
        except FileNotFoundError:
            return ()
        records = []
        for number, line in enumerate(lines, start=1):
            key, _, value = line.partition(b"\t")
            try:
                records.append(AliasRecord.from_record(key, value))
            except Exception as error:
                if not concerns_one(error):
                    raise
                log.warning("line of the alias file is no entry", line=number, reason=Reason.of(error).detail)
        return tuple(records)

    def write(self, records: Iterable[AliasRecord]) -> None:
        """Replace the content, whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = (record.key.encode() + b"\t" + record.to_bytes() + b"\n" for record in records)
        atomic_write(self.path, b"".join(lines), durable=False)


class AliasWatch:
    """Keeps live aliases equal to the shipped ones and the file, which is looked at often and read when it changed."""

    def __init__(self, file: AliasFile | None, live: LiveAliases) -> None:
        self._file = file
        self._live = live
        self._stamp: Stamp | None = None

    def look(self) -> bool:
        """Take in the file if it changed; whether it did. Blocking, and cheap where nothing changed."""
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
