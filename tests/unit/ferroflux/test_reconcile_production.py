"""Stored products on their way to the replicas again: published as they are, lifted where they fell behind."""

from collections.abc import Sequence
from functools import partial

import pytest

from ferroflux.operations.reconcile import KafkaChanges, production_stores
from indexer.batch.publishing import StoredDocuments
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.ports import Target
from indexer.settings import IndexerSettings
from query_api.settings import TextSettings
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointWrite
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError, ContentionError
from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.sources import OPERATOR_SOURCE
from schemas.topics import LARGEST_RECORD_BYTES
from tests.support.indexing.fakes import FakeClock, event, make_pipeline, records_of

KEY = SkuKey.of("acme", "A")


class Topics:
    """A log writer that keeps what it was given."""

    def __init__(self) -> None:
        self.records: list[tuple[str, bytes, bytes]] = []

    async def append(self, topic: str, records: Sequence) -> None:
        await self.append_each(topic, records)

    async def append_each(self, topic: str, records: Sequence) -> list[None]:
        self.records += [(topic, record.key, record.value) for record in records]
        return [None] * len(records)

    def limit(self, topic: str) -> int:
        return LARGEST_RECORD_BYTES


@pytest.fixture
async def index() -> MemoryIndex:
    index = MemoryIndex()
    await make_pipeline(index).process(records_of([event("A", "item", 1, {"title": "Clavo"})]))
    return index


def documents_of(index: MemoryIndex, topics: Topics) -> StoredDocuments:
    return StoredDocuments(
        Target(index, KafkaDocumentPublisher(topics, "catalog.documents"), partial(build_document)), FakeClock()
    )


async def rev_of(index: MemoryIndex) -> int:
    return (await index.revisions([KEY]))[KEY]


async def test_a_product_is_published_as_it_is_stored(index):
    topics = Topics()
    await documents_of(index, topics).republish([KEY, SkuKey.of("acme", "unknown")])
    [(topic, key, value)] = topics.records
    assert (topic, key) == ("catalog.documents", b"acme/A")
    assert SearchDocument.model_validate_json(value).rev == await rev_of(index)


async def test_a_point_that_fell_behind_is_lifted_above_its_document_with_its_content_as_it_was(index):
    topics = Topics()
    before = (await index.read([KEY]))[KEY]
    ahead = before.rev + 40
    await documents_of(index, topics).overtake({KEY: ahead})
    after = (await index.read([KEY]))[KEY]
    assert (after.rev, after.state) == (ahead + 1, before.state)
    assert SearchDocument.model_validate_json(topics.records[0][2]).rev == ahead + 1


async def test_a_point_that_has_caught_up_meanwhile_is_only_published(index):
    topics = Topics()
    rev = await rev_of(index)
    await documents_of(index, topics).overtake({KEY: rev - 1})
    assert await rev_of(index) == rev
    assert len(topics.records) == 1


async def test_a_point_that_others_keep_changing_is_given_up_and_said_so(index):
    class Contended(MemoryIndex):
        async def write(self, writes: Sequence[PointWrite]) -> frozenset[SkuKey]:
            return frozenset(write.key for write in writes)

    contended = Contended()
    contended._points = index._points
    with pytest.raises(ContentionError, match="1 products"):
        await documents_of(contended, Topics()).overtake({KEY: await rev_of(index) + 5})


async def test_corrections_are_canonical_events_of_the_change_topic():
    topics, correction = Topics(), event("A", "item", 2, None)
    await KafkaChanges(topics, "warehouse.changes").send([correction])
    assert topics.records == [("warehouse.changes", b"acme/A", encode_event(correction, OPERATOR_SOURCE))]


@pytest.mark.parametrize(
    ("kind", "match"), [(VectorStoreKind.EDGE, "one process owns"), (VectorStoreKind.QDRANT, "--no-replica")]
)
async def test_stores_that_cannot_be_opened_here_are_named(tmp_path, kind, match):
    settings = IndexerSettings(vectors=VectorSettings(kind=kind))
    with pytest.raises(ConfigurationError, match=match):
        async with production_stores(settings, TextSettings(directory=tmp_path), with_replica=True):
            pass
