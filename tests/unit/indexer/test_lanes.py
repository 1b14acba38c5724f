"""Two lanes: live changes go first, a bulk load is never starved, and what is not done comes again."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.consuming.lanes import Lanes, SliceLength
from indexer.kafka.diversion import DIVERTED_HEADER, SnapshotDiversion, is_snapshot_read
from indexer.records import InboundRecord, TopicPartition
from runtime.kafka.log_writer import OutboundRecord
from schemas.errors import PoisonError, RecordTooLargeError
from schemas.events.dead_letters import TAKEN_HEADER
from tests.support.clock import ClockOf

LIVE, BULK = "warehouse.changes", "warehouse.changes.bulk"


def record(topic: str, offset: int, partition: int = 0, value: bytes = b"{}", *, sku: str = "") -> InboundRecord:
    """Of a product of its own, unless it is named."""
    key = f"t/{sku or offset}".encode()
    return InboundRecord(topic, partition, offset, 1_700_000_000_000, key, value, (("kept", b"\xff"),))


def of_products(count: int) -> list[InboundRecord]:
    return [record(LIVE, offset) for offset in range(count)]


class Log:
    """A consumer and a runner in one: notes what ran, in which order, and what was rewound."""

    def __init__(self, *, live_polls: Sequence[int] = (), more: Sequence[int] = (), fail_at: int | None = None) -> None:
        self.revocations = 0
        self.ran: list[list[tuple[str, int]]] = []
        self.rewound: list[Mapping[TopicPartition, int]] = []
        self.now = 0.0
        self._live_polls = list(live_polls)
        self._more = list(more)
        self._fail_at = fail_at
        self._next_live = 100

    async def poll_live(self) -> Sequence[InboundRecord]:
        count = self._live_polls.pop(0) if self._live_polls else 0
        self._next_live += count
        return [record(LIVE, self._next_live - count + place) for place in range(count)]

    async def more_live(self) -> Sequence[InboundRecord]:
        count = self._more.pop(0) if self._more else 0
        self._next_live += count
        return [record(LIVE, self._next_live - count + place) for place in range(count)]

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.rewound.append(offsets)

    async def run(self, records: Sequence[InboundRecord]) -> bool:
        self.now += 0.01 * len(records)
        if self._fail_at == len(self.ran):
            return False
        self.ran.append([(each.topic, each.offset) for each in records])
        return True

    def lanes(self, *, live_turns: int = 2, slice_records: int = 3) -> Lanes:
        length = SliceLength(0.03, 500, slice_records)
        return Lanes(
            self.run, self, bulk_topic=BULK, live_turns=live_turns, slice_length=length, clock=ClockOf(lambda: self.now)
        )

    @property
    def order(self) -> str:
        return "".join("L" if batch[0][0] == LIVE else "b" for batch in self.ran)


def mixed(live: int, bulk: int) -> list[InboundRecord]:
    return [record(BULK, offset) for offset in range(bulk)] + [record(LIVE, offset) for offset in range(live)]


async def test_the_live_part_of_a_poll_runs_first_and_the_bulk_part_in_pieces() -> None:
    log = Log()
    await log.lanes().take(mixed(2, 7))
    assert log.order == "Lbb"
    assert [place for batch in log.ran[1:] for place in batch] == [(BULK, offset) for offset in range(7)]
    assert log.rewound == []


async def test_live_changes_that_came_meanwhile_run_before_the_next_piece() -> None:
    log = Log(live_polls=[0, 4, 0])
    await log.lanes().take(mixed(0, 12))
    assert log.order.startswith("bLb")


async def test_bulk_gets_a_piece_for_every_so_many_live_batches_where_live_never_ceases() -> None:
    log = Log(live_polls=[1] * 1_000)
    await log.lanes(live_turns=3).take(mixed(0, 9))
    assert log.order == "LLLb" * log.order.count("b")
    assert sum(batch[0][0] == BULK for batch in log.ran) >= 2


@pytest.mark.parametrize(
    ("fail_at", "expected"),
    [(0, [{(BULK, 0): 0}]), (1, [{(BULK, 0): 0}]), (2, [{(BULK, 0): 3}])],
    ids=["the live part", "the first piece", "the second piece"],
)
async def test_what_was_not_done_is_read_again_from_its_first_offset(fail_at: int, expected: list[object]) -> None:
    log = Log(fail_at=fail_at)
    await log.lanes().take(mixed(1, 9))
    assert log.rewound == expected


async def test_after_a_revocation_nothing_is_sought() -> None:
    log = Log()

    async def revoked(records: Sequence[InboundRecord]) -> bool:
        log.revocations += 1
        return await log.run(records)

    lanes = Lanes(revoked, log, bulk_topic=BULK, live_turns=1, slice_length=SliceLength(1, 500, 2))
    await lanes.take(mixed(0, 8))
    assert (len(log.ran), log.rewound) == (1, [])


async def test_a_failing_poll_gives_the_pieces_back() -> None:
    log = Log()

    async def broken() -> Sequence[InboundRecord]:
        raise ConnectionError

    log.poll_live = broken  # type: ignore[method-assign] # the fake's own method, broken on purpose
    with pytest.raises(ConnectionError):
        await log.lanes().take(mixed(0, 5))
    assert log.rewound == [{(BULK, 0): 0}]


async def test_a_stop_begins_no_further_piece() -> None:
    log = Log()
    lanes = log.lanes()
    lanes.stop()
    await lanes.take(mixed(1, 5))
    assert (log.order, log.rewound) == ("L", [{(BULK, 0): 0}])


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(0.0001, 5)), min_size=1, max_size=40))
def test_a_piece_stays_within_its_bounds_and_grows_at_most_twofold(slices: list[tuple[int, float]]) -> None:
    length = SliceLength(0.15, 500)
    for records, seconds in slices:
        before = length.products
        length.learn(of_products(records), seconds)
        assert 4 <= length.products <= max(4, min(500, 2 * before))


def test_a_piece_finds_the_length_that_takes_its_time() -> None:
    length = SliceLength(0.15, 500)
    for _ in range(30):
        length.learn(of_products(length.products), 0.012 * length.products)
    assert length.products == 12
    for _ in range(30):
        length.learn(of_products(length.products), 0.0002 * length.products)
    assert length.products == 500


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"before":null,"after":{"sku":"A"},"source":{"snapshot":"false"},"op":"r"}', True),
        (b'{"schema":{},"payload":{"op": "r"}}', True),
        (b'{"source":{"snapshot":"true"},"op":"c"}', True),
        (b'{"source":{"snapshot":"last"},"op":"c"}', True),
        (b'{"source":{"snapshot":"incremental"},"op":"r"}', True),
        (b'{"source":{"snapshot":"false"},"op":"u"}', False),
        (b'{"after":{"title":"\\"op\\":\\"r\\""},"op":"u"}', False),
        (b'{"tenant":"t","sku":"A","version":1,"fields":{"title":"op r"}}', False),
        (None, False),
    ],
)
def test_a_snapshot_read_is_known_by_its_bytes(value: bytes | None, expected: bool) -> None:
    assert is_snapshot_read(value) is expected


class Appended:
    """A writer to a topic that takes values of at most `most` bytes."""

    def __init__(self, most: int = 1000) -> None:
        self.records: list[tuple[str, OutboundRecord]] = []
        self._most = most

    async def append_each(self, topic: str, records: Sequence[OutboundRecord]) -> list[PoisonError | None]:
        refusals = [RecordTooLargeError() if len(each.value or b"") > self._most else None for each in records]
        self.records += [(topic, each) for each, refused in zip(records, refusals, strict=True) if refused is None]
        return list(refusals)


async def test_reads_move_to_the_bulk_topic_as_they_are_and_stay_once_there() -> None:
    writer = Appended()
    divert = SnapshotDiversion(writer, BULK)  # type: ignore[arg-type] # only `append_each` is called
    read, change = record(LIVE, 5, value=b'{"op":"r"}'), record(LIVE, 6, value=b'{"op":"u"}')
    assert await divert([read, change]) == [change]
    ((topic, moved),) = writer.records
    assert topic == BULK
    assert (moved.key, moved.value) == (read.key, read.value)
    assert moved.headers == [
        ("kept", b"\xff"),
        (DIVERTED_HEADER, b"warehouse.changes/0@5"),
        (TAKEN_HEADER, str(read.timestamp_ms).encode()),
    ]
    there = [record(BULK, 1, value=b'{"op":"r"}')]
    assert await divert(there) == there


async def test_a_read_that_the_bulk_topic_never_takes_is_worked_on_where_it_is() -> None:
    writer = Appended(most=100)
    divert = SnapshotDiversion(writer, BULK)  # type: ignore[arg-type] # only `append_each` is called
    reads = [record(LIVE, at, value=b'{"op":"r"}' + b" " * (200 if at == 6 else 0)) for at in (5, 6, 7)]
    change = record(LIVE, 8, value=b'{"op":"u"}')
    assert [one.offset for one in await divert([*reads, change])] == [6, 8]
    assert [one.value for _, one in writer.records] == [reads[0].value, reads[2].value]


def sliced(log: Log, *, records: int = 4, stopping: bool = False) -> Lanes:
    lanes = Lanes(
        log.run,
        log,
        bulk_topic=BULK,
        live_turns=2,
        slice_length=SliceLength(0.03, 500, 3),
        live_length=SliceLength(0.05, 500, records),
        clock=ClockOf(lambda: log.now),
    )
    if stopping:
        lanes.stop()
    return lanes


async def test_live_records_are_worked_in_slices_whose_length_is_learnt() -> None:
    log = Log()
    await sliced(log).take([record(LIVE, offset) for offset in range(16)])
    assert [len(batch) for batch in log.ran] == [4, 5, 5, 2]
    assert [offset for batch in log.ran for _, offset in batch] == list(range(16))
    assert log.rewound == []


async def test_records_that_come_by_ones_and_twos_are_worked_together_where_more_wait() -> None:
    log = Log(more=[2, 1, 1, 3, 0, 5])
    await sliced(log, records=8).take([record(LIVE, 98), record(LIVE, 99)])
    assert [len(batch) for batch in log.ran] == [8, 1]
    assert [offset for batch in log.ran for _, offset in batch] == list(range(98, 107))


async def test_more_is_read_no_further_than_one_poll_goes() -> None:
    log = Log(more=[100] * 50)
    await sliced(log, records=4).take([record(LIVE, 99)])
    assert sum(len(batch) for batch in log.ran) <= 500 + 100


async def test_what_was_read_more_is_given_back_with_the_rest() -> None:
    log = Log(more=[2, 2], fail_at=0)
    await sliced(log, records=4).take([record(LIVE, 99)])
    assert log.ran == []
    assert {(LIVE, 0): 99} in log.rewound


def test_a_slice_is_never_shorter_than_what_it_costs_anyway() -> None:
    length = SliceLength(0.3, 256, smallest=16)
    for _ in range(20):
        length.learn(of_products(16), 4.0)
    assert length.products == 16


@pytest.mark.parametrize("key", [b'{"sku":"x"}', b'{"path":"a/b"}', b"acme", b'"a/b"', None])
async def test_records_whose_key_is_no_products_count_one_by_one(key: bytes | None) -> None:
    log = Log()
    await sliced(log, records=2).take([replace(record(BULK, offset), key=key) for offset in range(12)])
    assert len(log.ran[0]) == 3
    assert sum(map(len, log.ran)) == 12


async def test_the_records_of_one_product_are_worked_together_however_many_and_in_their_order() -> None:
    log = Log(more=[2, 0])
    flood = [record(LIVE, offset, sku="" if offset in {50, 120} else "wide") for offset in range(200)]
    await sliced(log, records=2).take(flood)
    assert [len(batch) for batch in log.ran] == [120, 82]
    assert [offset for batch in log.ran for _, offset in batch] == [*range(200), 100, 101]
    assert log.rewound == []


async def test_what_is_left_of_a_poll_after_a_live_slice_failed_is_read_again_with_it() -> None:
    log = Log(fail_at=1)
    await sliced(log).take([record(LIVE, offset) for offset in range(16)] + [record(BULK, 7)])
    assert [len(batch) for batch in log.ran] == [4]
    assert {(LIVE, 0): 4} in log.rewound
    assert {(BULK, 0): 7} in log.rewound


async def test_after_a_revocation_no_live_slice_begins_and_nothing_is_sought() -> None:
    log = Log()

    async def revoked(records: Sequence[InboundRecord]) -> bool:
        log.revocations += 1
        return await log.run(records)

    lanes = Lanes(
        revoked,
        log,
        bulk_topic=BULK,
        live_turns=1,
        slice_length=SliceLength(1, 500, 2),
        live_length=SliceLength(1, 500, 2),
    )
    await lanes.take([record(LIVE, offset) for offset in range(6)])
    assert len(log.ran) == 1
    assert log.rewound == []


async def test_a_stop_gives_the_slices_that_are_left_back_to_the_log() -> None:
    log = Log()
    await sliced(log, stopping=True).take([record(LIVE, offset) for offset in range(6)])
    assert log.ran == []
    assert log.rewound == [{(LIVE, 0): 0}]
