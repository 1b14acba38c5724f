"""Two lanes into one pipeline: live changes first, bulk loads in the time that is left, neither ever starved.

A bulk load (a catalogue file, a snapshot) is as long as it likes, and a live change must be searchable within a second.
They come by different topics, so that a live change never stands behind a snapshot in one partition, and this scheduler
decides between them in one process: bulk records are worked off in slices of a fraction of a second, and before each
slice the live lane is asked for what has come meanwhile.

    batch ──▶ live records ──▶ run
              bulk records ──▶ [ live waiting? run it, at most `live_turns` times ] ──▶ run one slice ──▶ again

Where `live_length` is given, live records, too, are worked off in slices of about its seconds: a poll may then be large,
so that a flood of prices costs few commits, and texts still come in small batches.

`live_turns` is the weight: where live changes never cease, bulk still gets one slice for that many live batches. What is
held here is one poll's records at most, so memory does not grow with either load. It knows no Kafka library.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from indexer.records import InboundRecord, TopicPartition, first_offsets
from runtime.clock import SYSTEM_CLOCK, Clock

RunBatch = Callable[[Sequence[InboundRecord]], Awaitable[bool]]
"""Works a batch to its end; False where it was not done: then it is rewound, or another member's."""

_FIRST_SLICE: Final = 16
_SMALLEST_SLICE: Final = 4
SMALLEST_LIVE_SLICE: Final = 16
"""Products of live records in one piece at least, where they wait: in smaller ones a busy machine would not keep up with twenty a second."""
_MEMORY: Final = 0.7
"""Share of the earlier slices in the mean cost of a product; the newest slice has the rest."""


class LaneControl(Protocol):
    """What the scheduler asks of the consumer."""

    @property
    def revocations(self) -> int:
        """Grows with every revocation: records polled under another count are not ours any more."""
        ...

    async def poll_live(self) -> Sequence[InboundRecord]:
        """Live records that are there already, without waiting; possibly none."""
        ...

    async def more_live(self) -> Sequence[InboundRecord]:
        """Live records that the log is known to hold beyond those that were given, waited for shortly; none where it holds none."""
        ...

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Read these partitions again from these offsets."""
        ...


@dataclass(slots=True)
class SliceLength:
    """How many products make a slice of about `seconds`: learnt from the slices before, for texts cost a hundred prices.

    Products and not records: all records of one product in a slice are read, planned, written and published once, so a
    thousand rows of one cost little more together than one of them, and as much each where they are apart. Not fewer than
    `smallest`: part of a slice's cost does not depend on its length, so the shorter they were made on a busy machine, the
    longer the records would take.
    """

    seconds: float
    largest: int
    products: int = _FIRST_SLICE
    smallest: int = _SMALLEST_SLICE
    _seconds_per_product: float = 0.0

    def beginning(self, records: Sequence[InboundRecord]) -> Sequence[InboundRecord]:
        """The records of the next slice, in their order: up to the first of one product too many."""
        keys: set[object] = set()
        for place, record in enumerate(records):
            keys.add(_product(record))
            if len(keys) > self.products:
                return records[:place]
        return records

    def has_room(self, records: Sequence[InboundRecord]) -> bool:
        """Whether another product could join these records in one slice."""
        return len(set(map(_product, records))) < self.products

    def learn(self, records: Sequence[InboundRecord], seconds: float) -> None:
        """Take a finished slice into account. It grows at most twofold: the next products may be dear ones."""
        cost = seconds / len(set(map(_product, records)))
        mean = cost if not self._seconds_per_product else _MEMORY * self._seconds_per_product + (1 - _MEMORY) * cost
        self._seconds_per_product = mean
        wanted = int(self.seconds / mean) if mean > 0 else self.largest
        self.products = max(self.smallest, min(wanted, 2 * self.products, self.largest))


def _product(record: InboundRecord) -> object:
    """What is equal for records of one product: a canonical key, `tenant/sku`.

    Any other key says nothing of products (a connector's is of a row, and some producers key a whole tenant alike), so each
    such record counts as one.
    """
    key = record.key
    if key is not None and b"/" in key and not key.startswith((b"{", b'"')):
        return key
    return record.partition, record.offset


class Lanes:
    """Takes the consumer's mixed batches; live and bulk are told apart by their topic."""

    def __init__(
        self,
        run: RunBatch,
        control: LaneControl,
        *,
        bulk_topic: str,
        live_turns: int,
        slice_length: SliceLength,
        live_length: SliceLength | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._run = run
        self._control = control
        self._bulk_topic = bulk_topic
        self._live_turns = live_turns
        self._slice = slice_length
        self._live_slice = live_length
        self._clock = clock
        self._stopping = False

    def stop(self) -> None:
        """Begin no further piece; what is left comes again after the next start."""
        self._stopping = True

    async def take(self, records: Sequence[InboundRecord]) -> None:
        """Work one poll's records; those that cannot be worked now are given back to the log, never skipped."""
        revocations = self._control.revocations
        live = [record for record in records if record.topic != self._bulk_topic]
        bulk = [record for record in records if record.topic == self._bulk_topic]
        try:
            if not await self._run_live(live, revocations):
                return
            while bulk and not self._stopping and await self._serve_live() and self._control.revocations == revocations:
                piece = self._slice.beginning(bulk)
                began = self._clock.monotonic()
                if not await self._run(piece):
                    return
                self._slice.learn(piece, self._clock.monotonic() - began)
                bulk = bulk[len(piece) :]
        finally:
            # After a revocation the group decides where to begin, and a seek of ours could skip records.
            if bulk and self._control.revocations == revocations:
                self._control.rewind(first_offsets(bulk))

    async def _serve_live(self) -> bool:
        """Run what waits in the live lane, up to the lane's weight; False where a batch was not done."""
        for _ in range(self._live_turns):
            waiting = await self._control.poll_live()
            if not waiting:
                return True
            if not await self._run_live(waiting, self._control.revocations):
                return False
        return True

    async def _run_live(self, records: Sequence[InboundRecord], revocations: int) -> bool:
        """Run live records, whole or in slices; False where not all were done: the rest is given back to the log."""
        length = self._live_slice
        if length is None:
            return not records or await self._run(records)
        left, taken = list(records), len(records)
        try:
            while left and self._control.revocations == revocations and not self._stopping:
                # A log may give its records by ones and twos however many wait; a piece of so few costs as much as one of many.
                while length.has_room(left) and taken < length.largest and (more := await self._control.more_live()):
                    left += more
                    taken += len(more)
                if self._control.revocations != revocations:
                    break
                piece = length.beginning(left)
                began = self._clock.monotonic()
                if not await self._run(piece):
                    return False
                length.learn(piece, self._clock.monotonic() - began)
                left = left[len(piece) :]
        finally:
            if left and self._control.revocations == revocations:
                self._control.rewind(first_offsets(left))
        return not left
