"""What is found by content costs no inference, and a content store that fails costs nothing but that."""

import asyncio
import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from indexer.batch import caching
from indexer.batch.caching import CachingEncoder
from indexer.batch.plan import Arrival
from indexer.batch.settling import Settler
from indexer.generations.backfill import Backfill
from indexer.metrics import IndexerMetrics
from indexer.ports import Target, Timing
from retrieval.passages import text_hash
from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.contents import ContentVectors, SqliteContentVectors
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.spaces import SPARSE_VECTOR, TEXT_VECTOR, spaces_of
from schemas.identity import SkuKey
from schemas.product.building import build_document
from tests.support.indexing.fakes import DocumentLog, FakeClock, event, make_pipeline, record, records_of

A1 = SkuKey.of("acme", "A1")
BOLT, NUT = {"title": "Hex bolt M8"}, {"title": "Nut M8"}


class Counting(HashingEncoder):
    """Remembers every text that it computed; fails at those that it is told to."""

    def __init__(self, dimension: int = 16, **options) -> None:
        super().__init__(dimension, **options)
        self.texts: list[str] = []
        self.poison = ""

    def encode_passages(self, texts):
        if self.poison and self.poison in texts:
            raise ValueError("poison")
        self.texts += texts
        return super().encode_passages(texts)


class Outcomes(Counter[str]):
    def __call__(self, outcome: str, texts: int, held_bytes: int) -> None:
        self[outcome] += texts


@pytest.fixture
async def contents():
    store = SqliteContentVectors(":memory:", 1 << 20)
    yield store
    await store.close()


@pytest.fixture
def executor():
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def indexer(contents, executor):
    """A pipeline of an encoder on an index of its own, with the content store that all share."""

    def made(encoder, index=None, shared=contents, observe=None, **parts):
        caching = CachingEncoder(encoder, executor, shared, observe)
        return make_pipeline(MemoryIndex() if index is None else index, encoder=caching, **parts)

    return made


async def test_one_text_under_two_skus_is_computed_once_within_a_batch_and_by_two_indexers(indexer) -> None:
    encoder, other = Counting(), Counting()
    events = [event(f"A{number}", "item", 1, BOLT) for number in range(20)]  # several chunks, encoded side by side
    index = MemoryIndex()
    report = await indexer(encoder, index).process(records_of(events))
    assert (report.embedded, encoder.texts) == (20, ["Hex bolt M8"])
    vectors = await index.vectors([one.key for one in events], using=TEXT_VECTOR)
    assert len(vectors) == 20
    await indexer(other).process(records_of([event("B1", "item", 1, BOLT)]))
    assert other.texts == []


async def test_a_text_that_comes_back_is_not_computed_again(indexer) -> None:
    encoder, index = Counting(), MemoryIndex()
    pipeline = indexer(encoder, index)
    for version, fields in enumerate([BOLT, NUT, BOLT, NUT]):
        await pipeline.process([record(event("A1", "item", version, fields))])
    assert encoder.texts == ["Hex bolt M8", "Nut M8"]
    (vector,) = (await index.vectors([A1], using=TEXT_VECTOR)).values()
    assert np.allclose(vector, HashingEncoder(16).encode_passages(["Nut M8"])[0])


async def test_an_empty_collection_of_the_same_model_is_filled_without_inference_by_every_way_in(indexer) -> None:
    events = [event(f"A{number}", "item", 1, {"title": f"Nut {number}"}) for number in range(9)]
    source = MemoryIndex()
    await indexer(Counting(), source).process(records_of(events))

    encoder = Counting()
    live, replayed, backfilled = indexer(encoder), indexer(encoder), indexer(encoder)
    assert (await live.process(records_of(events))).embedded == 9
    assert (await replayed.apply([Arrival(one, record(one)) for one in events])).embedded == 9
    settler = Settler(
        Target(MemoryIndex(), DocumentLog(), build_document),
        backfilled._settler.embedding,
        Timing(FakeClock(), random.Random(1)),
    )

    async def listing():
        yield {one.key: True for one in events}

    assert (await Backfill(settler, source).run(listing())).embedded == 9
    assert encoder.texts == []


async def test_another_model_computes_for_itself(indexer) -> None:
    await indexer(Counting(16)).process(records_of([event("A1", "item", 1, BOLT)]))
    other = Counting(8)
    await indexer(other).process(records_of([event("A1", "item", 1, BOLT)]))
    assert other.texts == ["Hex bolt M8"]


async def test_a_space_that_is_added_computes_and_those_that_were_there_are_kept(contents, executor) -> None:
    await CachingEncoder(Counting(), executor, contents).encode(TEXT_VECTOR, ["bolt"])
    sparse = HashingSparseEncoder()
    both = Counting(sparse=sparse)
    for _ in range(2):
        caching = CachingEncoder(both, executor, contents)
        assert len(await caching.encode(TEXT_VECTOR, ["bolt"])) == 1
        (words,) = await caching.encode(SPARSE_VECTOR, ["bolt"])
        assert words.indices.tolist() == sparse.encode_passages(["bolt"])[0].indices.tolist()
    assert both.texts == [], "whatever is beside it, a dense vector is the same"


async def test_what_is_no_vector_of_the_space_is_computed_again_and_replaced(contents, executor) -> None:
    encoder, outcomes = Counting(), Outcomes()
    (space,) = spaces_of(encoder.revision).values()
    zeros, infinite = np.zeros(16, np.float32), np.full(16, np.inf, np.float32)
    damaged = {"short": zeros[:8], "infinite": infinite, "nan": np.full(16, np.nan, np.float32), "torn": zeros}
    await contents.put(space.name, space.revision, {text_hash(text): vector for text, vector in damaged.items()})
    texts = list(damaged)
    await contents._write({f"{space.name}/{space.revision}/{text_hash('torn')}": b"torn"})
    caching = CachingEncoder(encoder, executor, contents, outcomes)
    named = await caching.encode(TEXT_VECTOR, texts)
    assert sorted(encoder.texts) == sorted(texts)
    assert np.allclose(named, HashingEncoder(16).encode_passages(texts))
    await caching.encode(TEXT_VECTOR, texts)
    assert outcomes == {"damaged": 4, "miss": 4, "hit": 4}


async def test_what_an_encoder_computes_wrong_is_not_kept(contents, executor) -> None:
    class Wrong(Counting):
        def encode_passages(self, texts):
            return super().encode_passages(texts) * np.nan

    wrong = CachingEncoder(Wrong(), executor, contents)
    await wrong.encode(TEXT_VECTOR, ["bolt"])
    encoder = Counting()
    await CachingEncoder(encoder, executor, contents).encode(TEXT_VECTOR, ["bolt"])
    assert encoder.texts == ["bolt"]


async def test_a_text_that_another_chunk_failed_with_is_computed_all_the_same(indexer) -> None:
    encoder = Counting()
    encoder.poison = "Poison"
    titles = ["Nut", "Poison", "Nut", "Nut", "Nut", "Nut", "Nut", "Nut", "Nut"]
    events = [event(f"A{number}", "item", 1, {"title": title}) for number, title in enumerate(titles)]
    report = await indexer(encoder).process(records_of(events))
    assert (report.embedded, list(report.apart)) == (8, [events[1].key])
    assert encoder.texts == ["Nut"]


async def test_whoever_gives_up_waiting_takes_nothing_from_the_others(contents, executor) -> None:
    encoder = Counting()
    caching = CachingEncoder(encoder, executor, contents)
    calls = [asyncio.create_task(caching.encode(TEXT_VECTOR, ["bolt"])) for _ in range(4)]
    await asyncio.sleep(0)
    calls[0].cancel()
    calls[1].cancel()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in answers[:2]] == [asyncio.CancelledError] * 2
    assert [len(each) for each in answers[2:]] == [1, 1]
    assert caching._under_way == {}


class Broken(ContentVectors):
    """Fails, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.calls = 0

    async def _read(self, keys):
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        raise OSError("away")

    async def _write(self, packed):
        await self._read({})

    async def close(self) -> None:
        raise AssertionError


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_store_that_fails_or_hangs_stops_nothing_and_is_told_once(monkeypatch, executor, hangs) -> None:
    monkeypatch.setattr(caching, "_PATIENCE_S", 0.02)
    monkeypatch.setattr(caching, "_LEFT_ALONE_S", 0.1)
    encoder, broken, outcomes = Counting(), Broken(hangs=hangs), Outcomes()
    encode = partial(CachingEncoder(encoder, executor, broken, outcomes).encode, TEXT_VECTOR)
    with capture_logs() as logs:
        for number in range(4):
            assert len(await encode([f"bolt {number}"])) == 1
        assert broken.calls == 1, "left alone for a while"
        await asyncio.sleep(0.11)
        await encode(["nut"])
    assert broken.calls == 2
    assert [entry["event"] for entry in logs] == ["the content store fails; vectors are computed without it"]
    assert outcomes == {"failed": 2, "miss": 5}
    assert len(encoder.texts) == 5


async def test_it_is_asked_again_when_it_is_back(monkeypatch, executor, contents) -> None:
    monkeypatch.setattr(caching, "_LEFT_ALONE_S", 0.0)
    encoder, outcomes = Counting(), Outcomes()
    whole, contents._read = contents._read, Broken(hangs=False)._read
    encode = partial(CachingEncoder(encoder, executor, contents, outcomes).encode, TEXT_VECTOR)
    with capture_logs() as logs:
        await encode(["bolt"])
        contents._read = whole
        await encode(["bolt"])
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    assert outcomes == {"failed": 1, "miss": 1, "hit": 1}


async def test_without_a_store_equal_texts_of_one_call_are_computed_once(executor) -> None:
    encoder, outcomes = Counting(), Outcomes()
    named = await CachingEncoder(encoder, executor, None, outcomes).encode(TEXT_VECTOR, ["a", "b", "a"])
    assert encoder.texts == ["a", "b"]
    assert (named[0] == named[2]).all()
    assert outcomes == {"miss": 2, "hit": 1}


async def test_hits_misses_and_bytes_are_metrics(indexer) -> None:
    metrics = IndexerMetrics(CollectorRegistry())
    pipeline = indexer(Counting(), observe=metrics.contents)
    await pipeline.process(records_of([event("A1", "item", 1, BOLT), event("B1", "item", 1, BOLT)]))
    value = metrics.registry.get_sample_value
    assert value("ferroflux_indexer_content_vectors_total", {"outcome": "hit"}) == 1
    assert value("ferroflux_indexer_content_vectors_total", {"outcome": "miss"}) == 1
    assert value("ferroflux_indexer_content_bytes") > 0
