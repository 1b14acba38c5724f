"""How far a replay has come, in a small file, so that one that was interrupted goes on.

The file is named after what was asked for, in the words in which it was: "the last two hours" is another stretch of the
log whenever it is said, and must find the run that was interrupted all the same. So the file holds the stretch that was meant
then, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import orjson

from indexer.replay.selection import Position, Selection
from schemas.errors import FerrofluxError


@dataclass(frozen=True, slots=True)
class Interrupted:
    """An earlier run: what it selected, how far it came, and when that was (microseconds since 1970)."""

    selection: Selection
    position: Position
    at_us: int


@dataclass(frozen=True, slots=True)
class ReplayCheckpoint:
    """The file of one request in a folder."""

    path: Path

    @classmethod
    def of(cls, folder: Path, selection: Selection, asked: str = "") -> Self:
        """The request's file; it need not exist. `asked` is `digest_of` its words; without, the selection stands for it."""
        return cls(folder / f"{asked or selection.digest}.json")

    def load(self) -> Interrupted | None:
        """The interrupted run; None where there is none, or the file is torn or of another version."""
        try:
            raw = orjson.loads(self.path.read_bytes())
            return Interrupted(Selection.of(raw["selection"]), raw["position"], int(raw["at_us"]))
        except (OSError, ValueError, LookupError, TypeError, FerrofluxError):
            return None

    def save(self, selection: Selection, position: Position, at_us: int) -> None:
        """Keep the position, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".tmp")
        draft.write_bytes(orjson.dumps({"selection": selection.to_json(), "position": position, "at_us": at_us}))
        draft.replace(self.path)

    def clear(self) -> None:
        """The replay is complete."""
        self.path.unlink(missing_ok=True)


def digest_of(words: Mapping[str, Any]) -> str:
    """Names a request by the words of its options: equal words, equal digests."""
    return blake2b(orjson.dumps(words, option=orjson.OPT_SORT_KEYS), digest_size=8).hexdigest()
