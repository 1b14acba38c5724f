"""Hand-written fakes of the indexer's ports: a log of documents in memory, a clock that stands still, a counting encoder."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from indexer.batch.embedding import Embedding
from indexer.batch.pipeline import Intake, Pipeline
from indexer.batch.settling import PipelineLimits
from indexer.ports import LeaseLostError, Published, Target, Timing
from indexer.records import DeadLetter, InboundRecord, TopicPartition
from retrieval.testing import HashingEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import AnyVector, VectorIndex
from retrieval.vectors.spaces import spaces_of
from schemas.documents import SearchDocument
from schemas.errors import RecordTooLargeError
from schemas.events.canonical import encode_event
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.changes import ChangeEvent, facet_key
from schemas.version import SourceVersion

TOPIC = "warehouse.changes"


class FakeClock:
    """Time that passes only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_us(self) -> int:
        return int(self.seconds * 1e6)

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


class DocumentLog:
    """The documents topic in memory; `fail_next` makes one publish fail before its effect."""

    def __init__(self) -> None:
        self.documents: list[SearchDocument] = []
        self.fail_next: Exception | None = None
        self.refuses: set[str] = set()
        """SKUs of documents that the topic never takes."""

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        refused = {document.key: RecordTooLargeError() for document in documents if document.sku in self.refuses}
        self.documents.extend(document for document in documents if document.key not in refused)
        return Published(refused)

    def compacted(self) -> dict[SkuKey, SearchDocument]:
        """What a replica that is built from the topic now ends with: the last document of each key."""
        return {document.key: document for document in self.documents}


class DeadLetterLog:
    """The dead-letter topic in memory."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []

    async def send(self, letters: Sequence[DeadLetter]) -> None:
        self.letters.extend(letters)


class CountingEncoder:
    """Hashed words, computed at once; remembers every text that it was asked for."""

    def __init__(self) -> None:
        self._encoder = HashingEncoder()
        self.spaces = spaces_of(self._encoder.revision)
        self.texts: list[str] = []

    async def encode(self, space: str, texts: Sequence[str]) -> Sequence[AnyVector]:
        self.texts.extend(texts)
        return list(self._encoder.encode_passages(texts))

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        return self._encoder.passage_lengths(texts)


class FakeControl:
    """A consumer that only remembers what it was told."""

    def __init__(self) -> None:
        self.committed: list[dict[TopicPartition, int]] = []
        self.rewound: list[dict[TopicPartition, int]] = []
        self.refuse: Exception | None = None

    async def commit(self, next_offsets: Mapping[TopicPartition, int]) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.committed.append(dict(next_offsets))

    def rewind(self, offsets: Mapping[TopicPartition, int]) -> None:
        self.rewound.append(dict(offsets))


class LostLease:
    """A lease that holds for some checks, then is gone."""

    def __init__(self, checks: int = 0) -> None:
        self._left = checks

    def check(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise LeaseLostError


async def no_sleep(delay: float, /) -> None:
    """Pauses that take no time."""
    del delay


def make_pipeline(index: VectorIndex | None = None, **parts: Any) -> Pipeline:
    """A pipeline on fakes; any part can be given."""
    given: dict[str, Any] = {
        "parser": EventParser(),
        "index": index or MemoryIndex(),
        "publisher": DocumentLog(),
        "dead_letters": DeadLetterLog(),
        "encoder": CountingEncoder(),
        "compose": build_document,
        "clock": FakeClock(),
        "rng": random.Random(7),
        "sleep": no_sleep,
        "limits": PipelineLimits(slice_products=8, slices_in_flight=2, embed_chunk=4, plan_slice=16),
        "reuse": None,
        "bulk_topic": "",
        **parts,
    }
    return Pipeline(
        Target(given["index"], given["publisher"], given["compose"]),
        Embedding(given["encoder"], given["reuse"]),
        Timing(given["clock"], given["rng"], given["sleep"]),
        Intake(given["parser"], given["dead_letters"], given["bulk_topic"]),
        given["limits"],
    )


def event(sku: str, facet: str, version: int, fields: Mapping[str, Any] | None, *, epoch: int = 0) -> ChangeEvent:
    """A change of one facet of one product of the tenant `acme`; `fields` None deletes the row."""
    return ChangeEvent(
        key=SkuKey.of("acme", sku),
        facet=facet_key(facet),
        version=SourceVersion.of(version, epoch),
        fields=fields,
        changed_at_us=1_700_000_000_000_000 + version,
    )


def record(source: ChangeEvent | bytes | None, offset: int = 0, *, key: bytes | None = b"", partition: int = 0, headers: tuple[tuple[str, bytes | None], ...] = ()) -> InboundRecord:  # fmt: skip
    """A record of the change topic that carries an event, or the given bytes."""
    value = encode_event(source) if isinstance(source, ChangeEvent) else source
    if key == b"":
        key = source.key.kafka_key if isinstance(source, ChangeEvent) else b"acme/x"
    return InboundRecord(TOPIC, partition, offset, 1_700_000_100_000 + offset, key, value, headers)


def records_of(events: Sequence[ChangeEvent], *, partition: int = 0) -> list[InboundRecord]:
    """Records of one partition, in order."""
    return [record(one, offset, partition=partition) for offset, one in enumerate(events)]
