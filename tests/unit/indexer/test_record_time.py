"""By which time a record is judged, so that reading it again decides the same."""

import pytest

from indexer.batch.triage import Triage, triage
from indexer.deadletters.letter import Letter, read_record
from indexer.kafka.publisher import letter_record
from indexer.records import DeadLetter, InboundRecord, taken_ms
from runtime.isolation import Isolation
from schemas.events.admission import AdmissionRules
from schemas.events.dead_letters import TAKEN_HEADER
from schemas.events.parser import EventParser

NOW_MS = 1_764_532_307_000
DAY_MS = 86_400_000
AHEAD = b'{"sku": "A", "version": %d, "fields": {"title": "x"}}' % ((NOW_MS + DAY_MS) * 1_000)


def at(timestamp_ms: int, *headers: tuple[str, bytes | None], by_log: bool = True) -> InboundRecord:
    return InboundRecord("t", 0, 1, timestamp_ms, b"k", AHEAD, headers, by_log)


def looked_at(one: InboundRecord, now_ms: int = NOW_MS) -> Triage:
    rules = EventParser(admission=AdmissionRules())
    return triage([one], rules, max_record_bytes=9_999, isolation=Isolation("parsing"), now_us=now_ms * 1_000)


@pytest.mark.parametrize(
    ("record", "taken"),
    [
        (at(NOW_MS - 5), NOW_MS - 5),
        (at(NOW_MS + DAY_MS), NOW_MS + DAY_MS),
        (at(NOW_MS - 5, by_log=False), NOW_MS - 5),
        (at(NOW_MS + DAY_MS, by_log=False), NOW_MS),
        (at(0, by_log=False), NOW_MS),
        (at(-1, by_log=False), NOW_MS),
        (at(NOW_MS // 1_000, by_log=False), NOW_MS),
        (at(NOW_MS, (TAKEN_HEADER, b"7")), 7),
        (at(NOW_MS, (TAKEN_HEADER, b"x")), NOW_MS),
        (at(NOW_MS, (TAKEN_HEADER, None)), NOW_MS),
        (at(NOW_MS, (TAKEN_HEADER, b"9" * 400)), NOW_MS),
    ],
)
def test_the_logs_time_counts_and_a_producers_only_as_far_as_it_is_not_ahead(record: InboundRecord, taken: int) -> None:
    assert taken_ms(record, NOW_MS) == taken


def test_a_version_ahead_is_a_dead_letter_now_and_a_year_later() -> None:
    for now_ms in (NOW_MS, NOW_MS + 365 * DAY_MS):
        for one in (at(NOW_MS), at(NOW_MS, by_log=False)):
            (letter,) = looked_at(one, now_ms).letters
            assert (letter.reason, "24 hours ahead" in letter.detail) == ("version_ahead", True)


def test_a_laptop_whose_clock_stamps_record_and_version_alike_is_found_by_ours() -> None:
    assert [one.reason for one in looked_at(at(NOW_MS + DAY_MS, by_log=False)).letters] == ["version_ahead"]


def test_a_redriven_record_is_judged_by_its_first_time_however_often_it_comes() -> None:
    record = at(NOW_MS)
    for attempt in (1, 2, 3):
        (buried,) = looked_at(record, NOW_MS + 9 * DAY_MS).letters
        sent = letter_record(buried, now_us=(NOW_MS + 9 * DAY_MS) * 1_000, most=99_999)
        letter = read_record(InboundRecord("dlq", 0, 1, 0, sent.key, sent.value, tuple(sent.headers)))
        assert isinstance(letter, Letter)
        assert (letter.taken_ms, letter.attempt) == (NOW_MS, attempt)
        record = at(NOW_MS + 9 * DAY_MS, *letter.redriven_headers())


def test_a_letter_of_the_release_before_is_read_and_redriven_as_it_was() -> None:
    sent = letter_record(DeadLetter(at(NOW_MS), "unparsable", "x"), now_us=1, most=99_999)
    headers = tuple(one for one in sent.headers if one[0] != TAKEN_HEADER)
    letter = read_record(InboundRecord("dlq", 0, 1, 0, sent.key, sent.value, headers))
    assert isinstance(letter, Letter)
    assert (letter.taken_ms, [name for name, _ in letter.redriven_headers()]) == (None, ["ferroflux.attempt"])
