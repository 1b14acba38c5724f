"""Documents go in a form that the topic takes, known beforehand or learnt; what it never takes is named."""

from __future__ import annotations

from collections.abc import Sequence

from indexer.kafka.publisher import KafkaDocumentPublisher
from runtime.kafka.log_writer import LogWriter, OutboundRecord, record_bytes
from schemas.documents import SearchDocument
from schemas.errors import PoisonError, RecordRefusedError, RecordTooLargeError
from schemas.topics import LARGEST_RECORD_BYTES, KafkaSettings


class Topic(LogWriter):
    """A topic that takes `really` bytes a record, whatever is known of it, and nothing of the product NEVER."""

    def __init__(self, really: int = LARGEST_RECORD_BYTES) -> None:
        super().__init__(KafkaSettings())
        self.records: list[OutboundRecord] = []
        self.calls = 0
        self._really = really

    async def append_each(self, topic: str, records: Sequence[OutboundRecord]) -> list[PoisonError | None]:
        self.calls += 1
        refusals = [self._refusal(each) for each in records]
        self.records += [each for each, refused in zip(records, refusals, strict=True) if refused is None]
        return refusals

    def _refusal(self, record: OutboundRecord) -> PoisonError | None:
        if (record.key or b"").endswith(b"NEVER"):
            return RecordRefusedError()
        return RecordTooLargeError() if record_bytes(record) > self._really else None

    @property
    def documents(self) -> dict[str, SearchDocument]:
        read = [SearchDocument.model_validate_json(record.value or b"") for record in self.records]
        return {document.sku: document for document in read}


def document(sku: str, places: int = 0) -> SearchDocument:
    stocks = {f"place {number:05}": 1.0 for number in range(places)}
    return SearchDocument.model_validate(
        {"tenant": "acme", "sku": sku, "rev": 1, "state": "00", "title": sku, "stock": float(places), "stocks": stocks}
    )


async def test_a_known_limit_shortens_before_anything_is_sent() -> None:
    topic = Topic(really=100_000)
    topic.carries({"documents": 100_000})
    published = await KafkaDocumentPublisher(topic, "documents").publish([document("A", 10_000), document("B", 10)])
    assert (published.refused, published.incomplete, topic.calls) == ({}, 1, 1)
    assert topic.documents["A"].omitted == ("stocks",)
    assert topic.documents["A"].stock == 10_000
    assert topic.documents["B"] == document("B", 10)


async def test_a_limit_that_nobody_told_is_learnt_and_the_rest_goes_at_once() -> None:
    topic = Topic(really=100_000)
    published = await KafkaDocumentPublisher(topic, "documents").publish([document("A", 10_000), document("B")])
    assert published.refused == {}
    assert [document_.sku for document_ in topic.documents.values()] == ["B", "A"]
    assert topic.calls <= 4


async def test_what_the_topic_never_takes_is_named_and_stops_no_other() -> None:
    topic = Topic()
    published = await KafkaDocumentPublisher(topic, "documents").publish([document("NEVER"), document("B")])
    assert [key.sku for key in published.refused] == ["NEVER"]
    assert topic.documents.keys() == {"B"}


async def test_a_topic_that_takes_nothing_refuses_and_does_not_go_round_for_ever() -> None:
    topic = Topic(really=10)
    published = await KafkaDocumentPublisher(topic, "documents").publish([document("A", 10_000)])
    assert [key.sku for key in published.refused] == ["A"]
    assert topic.calls < 12
