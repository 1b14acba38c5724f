"""A thousand malformed records among good ones: every one in the dead letters with its reason, every good one found."""

import random

import pytest

from retrieval.filters import CatalogueFilter
from schemas.changes import ITEM_FACET, ChangeEvent
from schemas.errors import PoisonError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey, tenant_id
from schemas.version import SourceVersion
from tests.support.kafka.clients import append, read_all
from tests.support.stack.histories import event_record
from tests.support.stack.malformed import NUMBER_HEADER, malformed_records
from tests.support.stack.oracle import assert_converged, oracle_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def reason_of(record):
    """The code of the error that the parser has for a record; None for a good one."""
    try:
        EventParser().parse(record.key, record.value)
    except PoisonError as error:
        return error.code
    return None


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
    mixed = [*bad, *good]
    random.Random(5).shuffle(mixed)
    stack.start("indexer", "indexer-1")
    stack.start("indexer", "indexer-2")
    stack.start("replica")
    stack.wait_ready("indexer-1", "indexer-2", "replica")

    await append(kafka.bootstrap, stack.topics.changes[0], mixed)
    await stack.settled()

    letters = await read_all(kafka.bootstrap, stack.topics.dead_letters)
    by_number = {int(dict(letter.headers)[NUMBER_HEADER]): letter for letter in letters}
    assert len(letters) == 1000
    assert by_number.keys() == set(range(1000))
    for number, letter in by_number.items():
        headers = dict(letter.headers)
        assert letter.value == bad[number].value
        assert letter.key == bad[number].key
        assert headers["ferroflux.reason"].decode() == reasons[number]
        assert headers["ferroflux.detail"]
        assert headers["ferroflux.topic"].decode() == stack.topics.changes[0]
        assert set(bad[number].headers) <= set(letter.headers)

    await assert_converged(stack, oracle_of(good))
    reader = stack.text_index()
    within = CatalogueFilter(tenant_id("acme"))
    lost = [
        n
        for n in range(2000)
        if SkuKey.of("acme", f"GOOD-{n}") not in reader.lookup_code(f"GOOD-{n}", within=within, limit=3)
    ]
    assert lost == []

    last = event_record(ChangeEvent(SkuKey.of("acme", "LAST"), ITEM_FACET, SourceVersion(0, 1), {"title": "después"}))
    await append(kafka.bootstrap, stack.topics.changes[0], [last])
    await stack.settled()
    assert stack.text_index().matching([SkuKey.of("acme", "LAST")], within)
