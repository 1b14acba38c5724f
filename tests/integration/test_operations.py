"""The operator's levers on real Kafka: dead letters settled once, replays beside live work, tombstones collected, old documents repaired."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import orjson
import pytest

from indexer.deadletters.kafka import KafkaDeadLetterStore
from indexer.deadletters.service import DeadLetterService, LetterFilter, Settled
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.kafka.reader import KafkaReader
from indexer.replay.replayer import Replayer
from indexer.replay.selection import Selection
from indexer.replay.sources import KafkaReplaySource
from indexer.tombstone_gc import KafkaTombstones, TombstoneGc
from retrieval.vectors.memory import MemoryIndex
from runtime.clock import SystemClock
from runtime.kafka.log_writer import LogWriter
from schemas.documents import SearchDocument
from schemas.errors import LogUnavailableError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.topics import KafkaSettings
from schemas.version import SourceVersion
from tests.support.indexing.fakes import DocumentLog, make_pipeline
from tests.support.kafka.clients import Record, append, committed, read_all
from tests.support.stack.histories import event_record

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

EVERY = LetterFilter()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - another process is waited for
            await asyncio.sleep(0.2)


def item(sku: str, version: int, title: str | None) -> ChangeEvent:
    fields = None if title is None else {"title": title}
    return ChangeEvent(SkuKey.of("acme", sku), ITEM_FACET, SourceVersion(0, version), fields)


def settings_of(stack) -> KafkaSettings:
    return KafkaSettings(bootstrap=stack.kafka.bootstrap, topics=stack.topics, partitions=6)


async def last_documents(stack) -> dict[bytes, SearchDocument | None]:
    """What a replica built now would end with, before any compaction."""
    rows = await read_all(stack.kafka.bootstrap, stack.topics.documents)
    return {row.key: None if row.value is None else SearchDocument.model_validate_json(row.value) for row in rows}


async def test_dead_letters_are_settled_once_even_by_two_operators(kafka, stack_of):
    stack = stack_of(kafka)
    stack.start("indexer")
    stack.wait_ready("indexer")
    changes = stack.topics.changes[0]
    headers = (("trace", b"\xff"), ("empty", None))
    await append(
        kafka.bootstrap, changes, [Record(b"acme/X", b"not json", headers), Record(b"acme/Y", b'{"sku": 1.5}')]
    )
    service, other = (
        DeadLetterService(KafkaDeadLetterStore(settings_of(stack), clock=SystemClock())) for _ in range(2)
    )

    async def both() -> bool:
        return len(await service.open_letters(EVERY)) == 2

    await until(both)
    by_key = {letter.original.key: letter for letter in await service.open_letters(EVERY)}
    assert by_key[b"acme/X"].original.headers == headers
    assert by_key[b"acme/X"].original.value == b"not json"

    results = await asyncio.gather(service.redrive(EVERY), other.redrive(EVERY), return_exceptions=True)
    assert all(isinstance(one, Settled | LogUnavailableError) for one in results)
    if not any(isinstance(one, Settled) for one in results):
        await service.redrive(EVERY)

    async def failed_again() -> bool:
        return [letter.attempt for letter in await service.open_letters(EVERY)] == [2, 2]

    await until(failed_again)
    redriven = [row for row in await read_all(kafka.bootstrap, changes) if dict(row.headers).get("ferroflux.attempt")]
    assert len(redriven) == 2
    assert {row.key: row.value for row in redriven} == {b"acme/X": b"not json", b"acme/Y": b'{"sku": 1.5}'}
    assert await service.redrive(EVERY, ceiling=2) == Settled(0, at_ceiling=2)
    assert await service.discard(EVERY) == Settled(2)
    assert await service.open_letters(EVERY) == []


async def test_an_old_document_that_lands_last_is_repaired_by_the_verifier(kafka, stack_of):
    stack = stack_of(kafka)
    stack.start("indexer")
    stack.wait_ready("indexer")
    changes, key = stack.topics.changes[0], b"acme/A1"
    await append(kafka.bootstrap, changes, [event_record(item("A1", 1, "old"))])

    async def indexed() -> bool:
        return key in await last_documents(stack)

    await until(indexed)
    old = (await last_documents(stack))[key]
    await append(kafka.bootstrap, changes, [event_record(item("A1", 2, "new"))])

    async def newest_last() -> bool:
        last = (await last_documents(stack))[key]
        return last is not None and last.title == "new"

    await until(newest_last)
    # What a zombie does that dies at once: its overtaken document lands, and nobody reads anything back.
    await append(kafka.bootstrap, stack.topics.documents, [Record(key, old.to_bytes())])
    assert (await last_documents(stack))[key].title == "old"
    await until(newest_last)


async def test_a_replay_reads_what_is_selected_and_leaves_the_live_group_alone(kafka, stack_of):
    stack = stack_of(kafka)
    stack.start("indexer")
    stack.wait_ready("indexer")
    changes = stack.topics.changes[0]
    rows = [event_record(item(f"S{n}", n + 1, f"broca {n}")) for n in range(300)]
    await append(kafka.bootstrap, changes, rows)

    async def done() -> bool:
        return sum((await committed(kafka.bootstrap, stack.group)).values()) >= 300

    await until(done)
    before = await committed(kafka.bootstrap, stack.group)
    log, index = DocumentLog(), MemoryIndex()
    async with KafkaReader(settings_of(stack)) as reader:
        replayer = Replayer(
            KafkaReplaySource(reader, stack.topics.changes), make_pipeline(index, publisher=log), index, EventParser(),
            clock=SystemClock(), rng=random.Random(1),
        )  # fmt: skip
        assert (await replayer.run(Selection.of({"skus": ["S7", "S8"]}), apply=False)).applied == 2
        assert log.documents == []
        counts = await replayer.run(Selection.of({}), apply=True)
        assert (counts.read, counts.applied) == (300, 300)
        again = await replayer.run(Selection.of({"partitions": [0, 1]}), apply=True)
        assert 0 < again.read < 300
        assert (again.applied, again.duplicates) == (0, again.read)
        bounded = await replayer.run(Selection.of({"offsets": ["0:0-4"]}), apply=False)
        assert bounded.read == 5
        assert (await replayer.run(Selection.of({"since_ms": 2**45}), apply=False)).read == 0
    assert await committed(kafka.bootstrap, stack.group) == before
    assert len(log.compacted()) == 300


async def test_a_replay_that_is_killed_goes_on_when_the_same_command_is_given_again(kafka, stack_of, tmp_path):
    stack = stack_of(kafka)
    stack.start("indexer")
    stack.wait_ready("indexer")
    count = 3_000
    rows = [event_record(item(f"S{n}", n + 1, f"broca {n}")) for n in range(count)]
    await append(kafka.bootstrap, stack.topics.changes[0], rows)

    async def done() -> bool:
        return sum((await committed(kafka.bootstrap, stack.group)).values()) >= count

    await until(done)
    # "Two hours ago" is a later moment when it is said again: it is the words that are gone on with.
    words = ("replay", "--kafka", kafka.bootstrap, "--since", "2h", "--rate", "700", "--yes", "--json")
    command = stack.command("replay", *words, "--data-dir", str(tmp_path))
    command.start()
    await until(lambda: asyncio.sleep(0, any((tmp_path / "replays").glob("*.json"))))
    command.kill()
    (kept,) = (tmp_path / "replays").glob("*.json")
    reached = sum(orjson.loads(kept.read_bytes())["position"]["next"].values())
    assert 0 < reached < count

    command.start()
    await until(lambda: asyncio.sleep(0, not command.running))
    assert command.returncode == 0, command.tail()
    printed = command.log.read_text()
    counts = orjson.loads(printed[printed.index("{") : printed.rindex("}") + 1])
    assert counts["interrupted_us"] > 0
    assert (counts["read"], counts["duplicates"]) == (count - reached, count - reached)
    assert list((tmp_path / "replays").iterdir()) == []


async def test_collected_tombstones_leave_store_and_topic_and_a_revival_stays(kafka, stack_of):
    stack = stack_of(kafka)
    stack.start("indexer")
    stack.wait_ready("indexer")
    changes = stack.topics.changes[0]
    await append(kafka.bootstrap, changes, [event_record(item(sku, 1, "nut")) for sku in "ABC"])
    await append(kafka.bootstrap, changes, [event_record(item(sku, 2, None)) for sku in "AB"])

    async def deleted() -> bool:
        last = await last_documents(stack)
        return len(last) == 3 and sum(one is not None and one.deleted for one in last.values()) == 2

    await until(deleted)
    writer = LogWriter(settings_of(stack))
    documents = KafkaDocumentPublisher(writer, stack.topics.documents)
    async with stack.vector_index() as index, KafkaReader(settings_of(stack)) as reader:
        pipeline = make_pipeline(index, publisher=documents, clock=SystemClock())
        gc = TombstoneGc(index, KafkaTombstones(reader, stack.topics.documents), documents, pipeline.republish)
        now_us = SystemClock().now_us() + 60_000_000
        assert (await gc.run(before_us=0, apply=True)).within_reach == 2
        assert (await gc.run(before_us=now_us, apply=False)).due == 2
        assert (await gc.run(before_us=now_us, apply=True)).removed == 2
        assert set(await index.revisions([SkuKey.of("acme", sku) for sku in "ABC"])) == {SkuKey.of("acme", "C")}
    await writer.stop()
    last = await last_documents(stack)
    assert (last[b"acme/A"], last[b"acme/B"]) == (None, None)
    await append(kafka.bootstrap, changes, [event_record(item("A", 3, "nut again"))])

    async def back() -> bool:
        document = (await last_documents(stack))[b"acme/A"]
        return document is not None and not document.deleted

    await until(back)
