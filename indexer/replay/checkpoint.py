"""How far a replay has come, in a small file, so that one that was interrupted goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import orjson

from indexer.replay.selection import Selection
from indexer.replay.sources import Position


@dataclass(frozen=True, slots=True)
class ReplayCheckpoint:
    """The file of one selection in a folder."""

    path: Path

    @classmethod
    def of(cls, folder: Path, selection: Selection) -> Self:
        """The selection's file; it need not exist."""
        return cls(folder / f"{selection.digest}.json")

    def load(self) -> Position | None:
        """The kept position; None where there is none, or the file is torn."""
        try:
            raw = orjson.loads(self.path.read_bytes())
        except (OSError, orjson.JSONDecodeError):
            return None
        return raw if isinstance(raw, dict) else None

    def save(self, position: Position) -> None:
        """Keep the position, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".tmp")
        draft.write_bytes(orjson.dumps(position))
        draft.replace(self.path)

    def clear(self) -> None:
        """The replay is complete."""
        self.path.unlink(missing_ok=True)
