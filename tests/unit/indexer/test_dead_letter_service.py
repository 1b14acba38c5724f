"""The service over dead letters: listing, redriving once, the ceiling, discarding; on the embedded system's file."""

from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from indexer.deadletters.file import DeadLetterFile, FileDeadLetterStore, KeptDeadLetterSink, find_in_journal
from indexer.deadletters.letter import Letter, LetterId, Marker, Settlement, read_record
from indexer.deadletters.service import DeadLetterService, LetterFilter, Settled
from indexer.journal import SqliteChangeJournal
from indexer.records import DeadLetter, InboundRecord, LogId
from query_api.replica.tailing.decode import place_of
from query_api.replica.tailing.letters import letter_of as letter_of_replica
from query_api.replica.tailing.log import LogRecord
from retrieval.text.apart.values import Apart, Flaw
from schemas.errors import InvalidRequestError, LogUnavailableError, NotFoundError, RecordTooLargeError
from schemas.events.dead_letters import ATTEMPT_HEADER, TAKEN_HEADER
from schemas.topics import LARGEST_RECORD_BYTES
from tests.support.indexing.fakes import DeadLetterLog, FakeClock

BAD = InboundRecord("changes", 2, 7, 1_700_000_000_000, b"acme/A1", b"\xff\x00", (("trace", b"\xfe"), ("none", None)))
EVERY = LetterFilter()


def letter_of(record: InboundRecord, reason: str = "unparsable", tenant: str = "acme", attempt: int = 1) -> DeadLetter:
    return DeadLetter(record, reason, "a sentence", tenant, attempt)


def at(offset: int) -> InboundRecord:
    return InboundRecord("changes", 0, offset, 1_700_000_000_000 + offset, b"acme/A1", b"bad")


class Setting:
    """A file, the sink that fills it, and the service; what is sent again lands in `again`."""

    def __init__(self, file: DeadLetterFile, clock: FakeClock, journal: SqliteChangeJournal) -> None:
        self.clock = clock
        self.again: list[Letter] = []
        self.fail = False
        self.onward = DeadLetterLog()
        self.sink = KeptDeadLetterSink(file, self.onward, clock=clock)
        self.journal = journal
        self.refused: set[bytes | None] = set()
        store = FileDeadLetterStore(
            file, self._send_again, clock=clock, find_original=partial(find_in_journal, journal)
        )
        self.service = DeadLetterService(store)

    async def _send_again(self, letters: Sequence[Letter]) -> None:
        if self.fail:
            raise LogUnavailableError
        if any(letter.original.value in self.refused for letter in letters):
            raise RecordTooLargeError
        self.again += letters

    async def ids(self, which: LetterFilter = EVERY) -> list[str]:
        return [str(letter.id) for letter in await self.service.open_letters(which)]


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    clock = FakeClock()
    file = await DeadLetterFile.open(tmp_path / "dead.db", "dlq", clock=clock)
    journal = SqliteChangeJournal.open(tmp_path / "journal.db")
    yield Setting(file, clock, journal)
    await journal.close()
    await file.close()


async def test_a_letter_keeps_the_original_bytes_key_headers_and_coordinates(setting: Setting) -> None:
    await setting.sink.send([letter_of(BAD)])
    (letter,) = await setting.service.open_letters(EVERY)
    assert letter.original == BAD
    assert (letter.reason, letter.tenant, letter.attempt, letter.detail) == ("unparsable", "acme", 1, "a sentence")
    assert letter.time_us == setting.clock.now_us()
    shown = letter.to_json(whole=True)
    assert (shown["value"], shown["record"]) == ({"base64": "/wA="}, "changes/2@7")
    assert shown["headers"] == [{"name": "trace", "value": {"base64": "/g=="}}, {"name": "none", "value": None}]
    assert len(setting.onward.letters) == 1


async def test_a_letter_is_redriven_once_with_its_attempt_count(setting: Setting) -> None:
    await setting.sink.send([letter_of(BAD)])
    assert await setting.service.redrive(EVERY) == Settled(1)
    assert await setting.service.redrive(EVERY) == Settled(0)
    (letter,) = setting.again
    taken = str(BAD.timestamp_ms).encode()
    assert letter.redriven_headers() == [*BAD.headers, (ATTEMPT_HEADER, b"1"), (TAKEN_HEADER, taken)]
    assert await setting.ids() == []
    assert (await setting.service.letter(letter.id)).original == BAD


async def test_a_record_that_fails_again_is_a_new_letter_up_to_the_ceiling(setting: Setting) -> None:
    for attempt in range(1, 4):
        await setting.sink.send([letter_of(at(attempt), attempt=attempt)])
        assert await setting.service.redrive(EVERY, ceiling=3) == (
            Settled(1) if attempt < 3 else Settled(0, at_ceiling=1)
        )
    assert await setting.service.redrive(EVERY, ceiling=4) == Settled(1)


async def test_a_letter_written_twice_by_a_crash_counts_and_is_redriven_once(setting: Setting) -> None:
    await setting.sink.send([letter_of(BAD), letter_of(BAD)])
    assert len(await setting.ids()) == 1
    assert await setting.service.redrive(EVERY) == Settled(1)
    await setting.sink.send([letter_of(BAD)])  # a third copy, from a batch that was slow
    assert await setting.ids() == []
    assert len(setting.again) == 1


async def test_a_redrive_that_the_log_refuses_settles_nothing(setting: Setting) -> None:
    await setting.sink.send([letter_of(BAD)])
    setting.fail = True
    with pytest.raises(LogUnavailableError):
        await setting.service.redrive(EVERY)
    assert len(await setting.ids()) == 1


async def test_filters_choose_by_reason_tenant_time_and_id(setting: Setting) -> None:
    await setting.sink.send([letter_of(at(1), "unparsable", "acme")])
    setting.clock.advance(60)
    border = setting.clock.now_us()
    await setting.sink.send([letter_of(at(2), "invalid_event", "acme"), letter_of(at(3), "invalid_event", "bolt")])
    assert await setting.ids() == ["0-0", "0-1", "0-2"]
    assert await setting.ids(LetterFilter(reason="invalid_event")) == ["0-1", "0-2"]
    assert await setting.ids(LetterFilter(reason="invalid_event", tenant="acme")) == ["0-1"]
    assert await setting.ids(LetterFilter(until_us=border)) == ["0-0"]
    assert await setting.ids(LetterFilter(since_us=border, tenant="bolt")) == ["0-2"]
    assert await setting.ids(LetterFilter(ids=frozenset({LetterId(0, 1)}))) == ["0-1"]
    assert await setting.service.discard(LetterFilter(tenant="acme")) == Settled(2)
    assert await setting.ids() == ["0-2"]


async def test_letters_and_what_became_of_them_survive_a_restart(tmp_path: Path) -> None:
    clock, journal = FakeClock(), SqliteChangeJournal.open(tmp_path / "journal.db")
    for round_ in range(3):
        file = await DeadLetterFile.open(tmp_path / "dead.db", "dlq", clock=clock)
        setting = Setting(file, clock, journal)
        assert len(await setting.ids()) == min(round_, 1)
        await setting.service.redrive(EVERY)
        await setting.sink.send([letter_of(at(round_))])
        await file.close()
    await journal.close()


async def test_a_letter_that_is_not_there_is_told(setting: Setting) -> None:
    with pytest.raises(NotFoundError):
        await setting.service.letter(LetterId(0, 99))


@pytest.mark.parametrize("text", ["", "3", "3-", "a-1", "-1", "1-2-3"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        LetterId.parse(text)


def test_a_marker_reads_back_and_foreign_records_are_passed() -> None:
    marker = Marker(LetterId(3, 42), Settlement.DISCARDED)
    record = InboundRecord("dlq", 3, 50, 0, b"k", None, tuple(marker.headers(7)))
    assert read_record(record) == marker
    assert read_record(InboundRecord("dlq", 0, 1, 0, b"k", b"v", (("other", b"x"),))) is None
    torn = (("ferroflux.settles", b"3-42"), ("ferroflux.settlement", b"eaten"))
    assert read_record(InboundRecord("dlq", 0, 1, 0, b"k", None, torn)) is None


async def test_a_truncated_letter_is_redriven_with_its_original_or_said_to_be_gone(setting: Setting) -> None:
    kept, pruned = (
        InboundRecord("changes", 0, offset, 1_700_000_000_000, b"acme/L", bytes([offset]) * LARGEST_RECORD_BYTES)
        for offset in (1, 2)
    )
    # The embedded broker counts anew with every start: another record stood at the same offset before.
    before = InboundRecord("changes", 0, 1, 1_600_000_000_000, b"acme/L", b"{}")
    await setting.journal.append(LogId("a"), [before])
    await setting.journal.append(LogId("b"), [kept])
    await setting.sink.send([letter_of(kept), letter_of(pruned)])
    first, second = await setting.service.open_letters(EVERY)
    assert first.truncated is not None
    assert first.to_json(whole=False)["truncated"]["size"] == LARGEST_RECORD_BYTES
    assert await setting.service.redrive(EVERY) == Settled(1, gone=(second.id,))
    assert [one.original for one in setting.again] == [kept]
    assert await setting.ids() == [str(second.id)]


async def test_a_record_that_its_topic_refuses_leaves_its_letter_open_and_stops_no_other(setting: Setting) -> None:
    setting.refused = {b"large"}
    large = InboundRecord("changes", 0, 8, 1_700_000_000_008, b"acme/A1", b"large")
    await setting.sink.send([letter_of(at(7)), letter_of(large), letter_of(at(9))])
    assert await setting.service.redrive(EVERY) == Settled(2, refused=(LetterId(0, 1),))
    assert [one.original.offset for one in setting.again] == [7, 9]
    assert await setting.ids() == ["0-1"]


async def test_ten_replicas_make_one_letter_and_the_one_that_holds_its_record_is_redriven(tmp_path: Path) -> None:
    """Some of them restarted before they could send theirs, which names its record only; each has its own time."""
    clock, again = FakeClock(), list[Letter]()

    async def send_again(letters: Sequence[Letter]) -> None:
        again.extend(letters)

    async def gone(letter: Letter) -> None:
        return None

    file = await DeadLetterFile.open(tmp_path / "dead.db", "dlq", clock=clock)
    service = DeadLetterService(FileDeadLetterStore(file, send_again, clock=clock, find_original=gone))
    record = LogRecord(3, 42, b"acme/A1", b'{"tenant":"acme"}', 1_700_000_000_000, (("ferroflux.attempt", b"1"),))
    apart = Apart(
        Flaw.PARTLY_INDEXED, place_of(record), "acme/A1", "unexpected", "ValueError()", lacks=("description",)
    )
    for replica in range(10):
        held = None if replica % 2 == 0 else record
        letter = letter_of_replica(apart, held, topic="catalog.documents", now_us=replica)
        await file.append([letter.fitting(LARGEST_RECORD_BYTES)])
    (one,) = await service.open_letters(EVERY)
    assert (one.reason, one.detail) == ("partly_indexed", "indexed without description: ValueError()")
    assert (one.original.coordinates, one.tenant, one.attempt) == ("catalog.documents/3@42", "acme", 2)
    assert await service.redrive(EVERY) == Settled(1)
    assert [letter.original.value for letter in again] == [record.value]
    assert again[0].redriven_headers() == [(ATTEMPT_HEADER, b"2")]
    assert await service.open_letters(EVERY) == []
    await file.close()
