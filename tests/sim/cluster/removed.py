"""Guards taken away: what stands in for the one step that a switch names."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from indexer.batch.batch import Stages
from indexer.batch.pipeline import Pipeline
from indexer.batch.plan import Action, Plan
from indexer.consuming.publish_lock import PublishLock
from indexer.kafka.publisher import KafkaDocumentPublisher
from indexer.ports import DocumentComposer, Published
from query_api.replica.tailing.letters import LetterBox, ReplicaLetter
from runtime.isolation import Batch, Isolation, Reason
from runtime.kafka.log_writer import OutboundRecord
from schemas.documents import NO_TIMES, SearchDocument
from schemas.errors import LogUnavailableError
from schemas.events.admission import Changes, ParsedRecord
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.merge import ItemState
from schemas.version import SourceVersion


class NoLock(PublishLock):
    """The publish lock taken away: a revocation waits for nothing, and leases never end."""

    async def revoke(self, grace_s: float) -> bool:
        del grace_s
        return True


class ByArrival(EventParser):
    """The version check taken away: what arrives later counts as newer."""

    arrived = 0

    def parse(self, key: bytes | None, value: bytes | None, *, taken_ms: int | None = None) -> ParsedRecord:
        parsed = super().parse(key, value, taken_ms=taken_ms)
        if isinstance(parsed, Changes):
            ByArrival.arrived += 1
            for event in parsed.events:
                object.__setattr__(event, "version", SourceVersion(0, ByArrival.arrived))
        return parsed


async def nothing_moved(documents: object) -> list[SkuKey]:
    del documents
    return []


def documents_of_nothing(pipeline: Pipeline, compose: DocumentComposer) -> None:
    """The wait for an item taken away: a price alone makes a tombstone, as it did once."""
    planned = pipeline._settler._plan

    async def plan(stored: Any, planner: Any, batch: Any) -> list[Plan]:
        return [_published(one, compose) for one in await planned(stored, planner, batch)]

    pipeline._settler._plan = plan  # type: ignore[method-assign] # the guard is taken away


def _published(plan: Plan, compose: DocumentComposer) -> Plan:
    if plan.action is not Action.AWAIT or plan.write is None:
        return plan
    payload = plan.write.payload
    state = ItemState.from_bytes(payload.state)
    document = compose(plan.key, state, rev=payload.rev, text_hash="", model="", times=NO_TIMES)
    return replace(plan, action=Action.DELETE, document=document)


class NothingApart(Stages):
    """Isolation taken away: what one product shows ends the batch, as any failure does, and the batch comes again."""

    def __init__(self) -> None:
        super().__init__()
        self.parse = Through("parse")
        self.of_products = {stage: Through(stage) for stage in self.of_products}


class Through(Isolation):
    def batch(self, size: int) -> Any:
        return _ThroughBatch(self, size)


class _ThroughBatch(Batch[Any]):
    def note(self, thing: Any, error: Exception, *, name: str) -> None:
        raise error


class WholeDocuments(KafkaDocumentPublisher):
    """Shortening taken away: a document goes as it is, or not at all."""

    async def publish(self, documents: Sequence[SearchDocument]) -> Published:
        records = [OutboundRecord(document.key.kafka_key, document.to_bytes(), []) for document in documents]
        refusals = await self._writer.append_each(self._topic, records)
        return Published(
            {one.key: refusal for one, refusal in zip(documents, refusals, strict=True) if refusal is not None}
        )


class NoIsolation(Isolation):
    """Isolation taken away: one document that fails ends the tailer."""

    def failed(self, of_batch: int, size: int, reason: Reason) -> None:
        raise NotIsolatedError(reason.detail)


class NotIsolatedError(Exception):
    """The process ended here."""


class Unheard:
    """The second try taken away: a letter that was sent once counts as told, whatever became of it."""

    def __init__(self, box: LetterBox) -> None:
        self._box = box

    async def send(self, letters: Sequence[ReplicaLetter]) -> None:
        with suppress(LogUnavailableError):
            await self._box.send(letters)
