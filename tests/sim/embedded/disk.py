"""One disk: the journal, the vector index's folder and the replica's, and what each of them keeps through which end."""

import tempfile
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from ferroflux.data_directory import PreviousStop
from retrieval.text.memory import MemoryTextStore
from retrieval.vectors.port import PointWrite
from schemas.identity import SkuKey
from tests.sim.model.store import ModelStore, Point
from tests.sim.model.world import Fault, World

_FLUSHED: Final = 0.1
_MEMORY: Final = Path("/dev/shm")


class End(Enum):
    """How a run of the system ends, and what becomes of its disk before the next."""

    KILLED = "killed"
    POWER_CUT = "the power is cut"
    STOPPED = "stopped in order"
    TEXT_LOST = "stopped in order, then the text replica's folder is deleted"
    VECTORS_LOST = "stopped in order, then the vector index's folder is deleted"

    @property
    def in_order(self) -> bool:
        return self not in (End.KILLED, End.POWER_CUT)


class EdgeModel(ModelStore):
    """The points of Qdrant Edge: a power cut takes the newest writes, down to the last flush."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.absent = True
        """Whether there is no folder."""
        self.made = 0
        self._undo: list[tuple[SkuKey, Point | None]] = []

    def apply(self, process: str, writes: list[PointWrite], token: str, fault: Fault | None) -> None:  # type: ignore[override] # as it is called
        before = {write.key: self.points.get(write.key) for write in writes}
        super().apply(process, writes, token, fault)
        self._undo += [(key, point) for key, point in before.items() if self.points.get(key) is not point]
        if self.world.rng.random() < _FLUSHED:
            self._undo.clear()

    def lose_what_is_not_flushed(self) -> None:
        lost = self.world.rng.randrange(len(self._undo) + 1)
        for key, point in reversed(self._undo[len(self._undo) - lost :]):
            if point is None:
                self.points.pop(key, None)
            else:
                self.points[key] = point
        self._undo.clear()
        self.world.note("disk", f"{lost} writes of the vector index were lost")

    def create(self) -> None:
        """A start makes the folder where there is none."""
        if self.absent:
            self.made += 1
            self.collection, self.absent = f"collection-{self.made}", False

    def exchange(self) -> None:
        """Another installation's folder, or an old empty one, is put in its place."""
        self.delete()
        self.create()

    def delete(self) -> None:
        self.points.clear()
        self._undo.clear()
        self.absent = True


@dataclass(slots=True)
class Disk:
    """What outlives the process. The journal is a real SQLite file."""

    world: World
    vectors: EdgeModel
    text: MemoryTextStore = field(default_factory=MemoryTextStore)
    previous: PreviousStop = PreviousStop.CLEAN
    _folder: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None)
    )

    @property
    def journal(self) -> Path:
        return Path(self._folder.name) / "journal.db"

    def after(self, end: End, *, clean: bool) -> None:
        """What the next start finds."""
        if not end.in_order:
            noted = self.previous is PreviousStop.MACHINE_DOWN and self.world.guards.noted_until_void
            self.previous = PreviousStop.MACHINE_DOWN if end is End.POWER_CUT or noted else PreviousStop.KILLED
        else:
            self.previous = PreviousStop.CLEAN if clean else PreviousStop.KILLED
        if end is End.POWER_CUT:
            self.vectors.lose_what_is_not_flushed()
        elif end is End.TEXT_LOST:
            self.text = MemoryTextStore()
        elif end is End.VECTORS_LOST:
            self.vectors.delete() if self.world.identities.random() < 0.5 else self.vectors.exchange()
        self.world.note("disk", end.value, "" if clean or not end.in_order else "(not drained)")

    def made_up_for(self) -> None:
        """The start has voided what the lost writes were trusted by."""
        if self.previous is PreviousStop.MACHINE_DOWN:
            self.previous = PreviousStop.KILLED

    def close(self) -> None:
        self._folder.cleanup()
