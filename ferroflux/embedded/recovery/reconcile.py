"""Making the two stores agree: the vector index holds the state, the text replica holds its documents.

In the running system the documents topic carries every write of the one to the other. A stop that was not clean takes
that topic away with whatever the replica had not read, so the stores are compared product by product.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import structlog

from indexer.awaiting import awaits_item
from indexer.pipeline import Pipeline
from retrieval.text.port import TextIndexReader
from retrieval.vectors.port import PointPayload, PointWrite, VectorIndex
from schemas.building import stored_digest
from schemas.documents import SearchDocument
from schemas.errors import ContentionError
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)

_PAGE: Final = 500
_ATTEMPTS: Final = 3


@dataclass(slots=True)
class Reconciled:
    """What the comparison found: products compared, published again, and raised to a newer revision first."""

    compared: int = 0
    republished: int = 0
    raised: int = 0
    apart: int = 0
    """Set apart: their states build no document; the log names them."""
    unknown: frozenset[SkuKey] = frozenset()
    """In the replica but not in the vector index: only a pruned journal or a lost folder leaves such; reported."""


async def reconcile(vectors: VectorIndex, reader: TextIndexReader, pipeline: Pipeline) -> Reconciled:
    """Publish the document of every product on which the stores differ."""
    found = Reconciled()
    seen: set[SkuKey] = set()
    async for page in vectors.scan(page=_PAGE):
        held = await asyncio.to_thread(reader.fetch, list(page))
        waiting = {key for key, payload in page.items() if awaits_item(payload)}
        seen.update(key for key in page if key not in waiting or key not in held or held[key].deleted)
        found.compared += len(page)
        points = {key: payload for key, payload in page.items() if key not in waiting}
        ahead = {key: payload for key, payload in points.items() if _is_ahead(held.get(key), payload)}
        await _raise(vectors, ahead, held)
        differing = [key for key, payload in points.items() if key in ahead or _differs(held.get(key), payload)]
        if differing:
            found.apart += len((await pipeline.republish(differing)).apart)
        found.raised += len(ahead)
        found.republished += len(differing)
    revisions = await asyncio.to_thread(lambda: dict(reader.revisions()))
    found.unknown = frozenset(revisions.keys() - seen)
    if found.unknown:
        log.warning("the replica holds products that the vector index does not know", products=len(found.unknown))
    return found


async def _raise(
    vectors: VectorIndex, ahead: Mapping[SkuKey, PointPayload], held: Mapping[SkuKey, SearchDocument]
) -> None:
    # The vector index lost writes with the machine; the journal has restored their content, but not how often it was
    # written. The replica would refuse the lower revision as outdated, so the point goes one beyond the document's.
    writes = [PointWrite(key, payload.rev, replace(payload, rev=held[key].rev + 1)) for key, payload in ahead.items()]
    for _ in range(_ATTEMPTS):
        if not writes:
            return
        refused = await vectors.write(writes)
        writes = [write for write in writes if write.key in refused]
    if writes:
        raise ContentionError(f"{len(writes)} products could not be given a newer revision in {_ATTEMPTS} attempts")


def _is_ahead(document: SearchDocument | None, payload: PointPayload) -> bool:
    if document is None or document.rev < payload.rev:
        return False
    return document.rev > payload.rev or not _same_state(document, payload)


def _differs(document: SearchDocument | None, payload: PointPayload) -> bool:
    return document is None or document.rev != payload.rev or not _same_state(document, payload)


def _same_state(document: SearchDocument, payload: PointPayload) -> bool:
    return document.state == stored_digest(payload.state)
