"""A thousand malformed records among good ones: every one in the dead letters with its reason, every good one found."""

import asyncio
import json
import random
from hashlib import sha256

import pytest

from indexer.deadletters.kafka import KafkaDeadLetterStore
from indexer.deadletters.service import DeadLetterService, LetterFilter, Settled
from retrieval.filters import CatalogueFilter
from runtime.clock import SystemClock
from schemas.errors import PoisonError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey, tenant_id
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.topics import KafkaSettings
from schemas.version import SourceVersion
from tests.support.kafka.clients import Record, append, create_topic, read_all
from tests.support.stack.histories import event_record
from tests.support.stack.malformed import NUMBER_HEADER, malformed_records
from tests.support.stack.oracle import assert_converged, newest_documents, oracle_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def reason_of(record):
    """The code of the error that the parser has for a record; None for a good one."""
    try:
        EventParser().parse(record.key, record.value)
    except PoisonError as error:
        return error.code
    return None


HUGE = Record(b"acme/HUGE", b'{"sku": "HUGE", "version": 1, "fields": {"title": "' + b"x" * 20_000_000)
PLACES = [f"{number:03}{'ñ' * 120}" for number in range(900)]


def large_records():
    """A product whose document is over a megabyte, and a snapshot read whose record is."""
    wide = {"title": "ancha", "description": "ñ" * 100_000, "bullets": [f"{n}{'ñ' * 1_900}" for n in range(100)]}
    wide |= {f"attributes.a{n}": "ñ" * 1_900 for n in range(90)}
    key = SkuKey.of("acme", "WIDE")
    rows = [ChangeEvent(key, ITEM_FACET, SourceVersion(0, 1), wide)]
    rows += [ChangeEvent(key, FacetKey(f"stock:{place}"), SourceVersion(0, 1), {"stock": 1.0}) for place in PLACES]
    row = {"tenant": "acme", "sku": "READ", "title": "leída", "bullets": [f"{n}{'ñ' * 1_900}" for n in range(100)]}
    source = {"connector": "postgresql", "name": "w", "db": "w", "schema": "public", "table": "products"}
    source |= {"snapshot": "true", "lsn": 7}
    read = json.dumps({"before": None, "after": row, "source": source, "op": "r", "ts_ms": 1}).encode()
    assert len(read) > 1_050_000
    return [*map(event_record, rows), Record(b'{"sku":"READ"}', read)]


def assert_the_huge_one_is_kept_by_its_place(letters):
    """Its letter holds the beginning, the digest and the size."""
    (letter,) = (letter for letter in letters if letter.key == HUGE.key)
    headers = dict(letter.headers)
    assert (headers["ferroflux.reason"], headers["ferroflux.size"]) == (b"record_too_large", b"%d" % len(HUGE.value))
    assert headers["ferroflux.truncated"] == b"value"
    assert headers["ferroflux.digest"].decode() == sha256(HUGE.value).hexdigest()
    assert HUGE.value.startswith(letter.value)


async def assert_the_huge_one_is_redriven_whole(stack):
    """Its original is read where it stands, goes through its topic again, and fails as it did before."""
    settings = KafkaSettings(bootstrap=stack.kafka.bootstrap, topics=stack.topics)
    letters, too_large = (
        DeadLetterService(KafkaDeadLetterStore(settings, clock=SystemClock())), LetterFilter(reason="record_too_large")
    )  # fmt: skip
    assert await letters.redrive(too_large) == Settled(1)

    async with asyncio.timeout(60):
        while not (open_again := await letters.open_letters(too_large)):  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.5)
    (again,) = open_again
    assert (again.attempt, again.truncated.size) == (2, len(HUGE.value))


async def test_a_thousand_malformed_records_stop_nothing(kafka, stack_of):
    stack = stack_of(kafka)
    bad = malformed_records(1000, seed=3)
    reasons = [reason_of(record) for record in bad]
    assert [number for number, reason in enumerate(reasons) if reason is None] == []
    good = [
        event_record(
            ChangeEvent(
                SkuKey.of("acme", f"GOOD-{number}"), ITEM_FACET, SourceVersion(0, number), {"title": f"broca {number}"}
            )
        )
        for number in range(2000)
    ]
    large = large_records()
    mixed = [*bad, *good, *large]
    random.Random(5).shuffle(mixed)
    # Topics that were there before, with the broker's default limit of about a megabyte.
    for name, config in (
        (stack.topics.documents, {"cleanup.policy": "compact"}), (stack.topics.dead_letters, {}), (stack.topics.bulk, {}),
    ):  # fmt: skip
        await create_topic(kafka.bootstrap, name, partitions=6, config=config)
    stack.start("indexer", "indexer-1")
    stack.start("indexer", "indexer-2")
    stack.start("replica")
    stack.wait_ready("indexer-1", "indexer-2", "replica")

    # Compressed, a record of 20 MB goes through a topic that takes 8.
    await append(
        kafka.bootstrap, stack.topics.changes[0], [*mixed, HUGE], compression_type="gzip", max_request_size=2**25
    )
    await stack.settled()

    letters = await read_all(kafka.bootstrap, stack.topics.dead_letters)
    by_number = {int(dict(letter.headers)[NUMBER_HEADER]): letter for letter in letters if letter.key != HUGE.key}
    assert len(letters) == 1001
    assert_the_huge_one_is_kept_by_its_place(letters)
    assert by_number.keys() == set(range(1000))
    for number, letter in by_number.items():
        headers = dict(letter.headers)
        assert letter.value == bad[number].value
        assert letter.key == bad[number].key
        assert headers["ferroflux.reason"].decode() == reasons[number]
        assert headers["ferroflux.detail"]
        assert headers["ferroflux.topic"].decode() == stack.topics.changes[0]
        assert set(bad[number].headers) <= set(letter.headers)

    await assert_converged(stack, oracle_of([*good, *large]))
    documents = {key.sku: document for key, document in (await newest_documents(stack)).items()}
    assert documents["WIDE"].omitted == ("stocks",)
    assert documents["WIDE"].stock == len(PLACES)
    assert documents["READ"].omitted == ()
    assert {letter.topic for letter in await read_all(kafka.bootstrap, stack.topics.bulk)} == set()
    reader = stack.text_index()
    catalogue_filter = CatalogueFilter(tenant_id("acme"))
    lost = [
        n
        for n in range(2000)
        if SkuKey.of("acme", f"GOOD-{n}")
        not in reader.lookup_code(f"GOOD-{n}", catalogue_filter=catalogue_filter, limit=3)
    ]
    assert lost == []

    last = event_record(ChangeEvent(SkuKey.of("acme", "LAST"), ITEM_FACET, SourceVersion(0, 1), {"title": "después"}))
    await append(kafka.bootstrap, stack.topics.changes[0], [last])
    await stack.settled()
    assert stack.text_index().matching([SkuKey.of("acme", "LAST")], catalogue_filter)
    await assert_the_huge_one_is_redriven_whole(stack)
