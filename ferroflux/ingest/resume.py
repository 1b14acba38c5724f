"""Where an interrupted run goes on: a small state file for each file and target, removed when the run is finished.

A run's versions are its start in microseconds plus the row's number. Both are kept, so a resumed run gives a row the
very version that it had the first time: a row sent twice is a duplicate to the merge and changes nothing.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.clock import SYSTEM_CLOCK
from runtime.files import atomic_write

_BLOCK: Final = 1 << 20
_SAVE_EVERY_S: Final = 0.5


class RunState(BaseModel):
    """What a run needs to go on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    file: str
    target: str
    first_sequence: int
    rows_done: int = 0
    """Rows of the file that are acknowledged, or reported as bad."""
    rows_rejected: int = 0


def run_name(file: Path, target: str, options: tuple[str, ...]) -> str:
    """Name of a run: the same content to the same target with the same options is the same run. 32 hex digits."""
    digest = hashlib.blake2b(digest_size=16)
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    digest.update("\x00".join((target, *options)).encode())
    return digest.hexdigest()


@dataclass(slots=True)
class Checkpoint:
    """The state of one run on disk."""

    path: Path
    state: RunState
    resumed: bool
    _saved_at: float = 0.0

    @classmethod
    def load(cls, folder: Path, name: str, fresh: RunState, *, restart: bool = False) -> Checkpoint:
        """The state that an interrupted run left, or a fresh one (also where `restart` is set)."""
        path = folder / f"{name}.json"
        if not restart:
            try:
                return cls(path, RunState.model_validate_json(path.read_bytes()), resumed=True)
            except (FileNotFoundError, ValidationError):
                # A torn state file means: from the start, with new versions; the rows merge as they would have.
                pass
        return cls(path, fresh, resumed=False)

    def advance(self, rows_done: int, rows_rejected: int, *, now: bool = False) -> None:
        """Note progress; written at most twice a second unless `now`."""
        self.state = self.state.model_copy(update={"rows_done": rows_done, "rows_rejected": rows_rejected})
        if now or SYSTEM_CLOCK.monotonic() - self._saved_at >= _SAVE_EVERY_S:
            self._save()

    def finish(self) -> None:
        """The run is complete: the next run of the same file is a new one."""
        self.path.unlink(missing_ok=True)

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self.path, self.state.model_dump_json().encode(), durable=False)
        self._saved_at = SYSTEM_CLOCK.monotonic()
