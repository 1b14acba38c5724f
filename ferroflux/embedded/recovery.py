"""What a start has to mend after the stop before it, decided from what it finds on disk, and how.

Three things are on disk: the journal, which decides what happened, and the two stores, which can be behind it. A store
whose folder was deleted (by hand, by a clean-up, with a replaced disk) is behind by everything, however orderly the
stop was, and nothing but its emptiness says so. One whose folder is another's (a copy of another installation, a backup put
back) is told by its id, which the journal notes.

restore     what a pruned journal cannot bring back is journalled anew from the replica's documents, at the lowest version, so
            that a start that is killed goes on, and every later rebuild has it as well
replay      what lies beyond the watermarks is applied
reconcile   the stores are compared product by product: the topic that connects them in the running system ends with the process
fill        vectors that an older release computed are given to the content store, once, while the system serves
respell     points that an older release stored under other spellings of a SKU are joined, once in the life of a vector index
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import structlog

from ferroflux.data_directory import PreviousStop
from ferroflux.embedded.reconcile import JournalledChanges
from indexer.batch.pipeline import Pipeline
from indexer.batch.publishing import lift
from indexer.journal import SqliteChangeJournal
from indexer.reconcile.compare import documents_ahead
from indexer.reconcile.log_sources import changes_of
from indexer.records import awaits_item, next_offsets
from indexer.respelling import Respeller
from retrieval.text.port import TextIndexReader
from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.port import PointPayload, VectorIndex
from retrieval.vectors.spaces import Spaces
from runtime.retry import Backoff, BackoffPolicy, retry
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.product.building import DocumentPolicy, stored_digest

log = structlog.get_logger(__name__)

_ATTEMPTS: Final = 5
_PAGE: Final = 500
_FILL_REST_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Found:
    """What a start finds: how the last owner ended, and which stores are made anew.

    `vectors_are_new`: the vector index's folder holds none; `vectors_are_others`: it holds another one than the journal's
    watermarks speak of. `replica_is_new`: the text replica has no checkpoint,
    so it has never committed anything.
    """

    previous: PreviousStop
    vectors_are_new: bool = False
    vectors_are_others: bool = False
    replica_is_new: bool = False

    @property
    def vectors_were_lost(self) -> bool:
        """Whether the vector index that the journal filled is not there."""
        return self.vectors_are_new or self.vectors_are_others

    @property
    def watermarks_are_void(self) -> bool:
        """Whether the journal's watermarks speak of writes that are gone, or may be, so that all of it is applied again.

        They are gone with the vector index; and a machine that went down may have kept a watermark on disk without the
        writes that it speaks of.
        """
        return self.vectors_were_lost or self.previous is PreviousStop.MACHINE_DOWN

    @property
    def stores_may_differ(self) -> bool:
        """Whether every product has to be compared between the stores, for the topic that connected them is gone."""
        return self.previous is not PreviousStop.CLEAN or self.vectors_were_lost or self.replica_is_new


@dataclass(frozen=True, slots=True)
class Replayed:
    """Records that went through the pipeline, and dead letters among them."""

    records: int
    dead_letters: int


async def replay(
    journal: SqliteChangeJournal,
    pipeline: Pipeline,
    on_progress: Callable[[int, int], None],
    backoff: Backoff | None = None,
) -> Replayed:
    """Apply what lies beyond the watermarks; returns how much that was. `on_progress` gets records done and in all.

    What was applied before changes nothing and costs no inference. A stop in the middle is gone on from.
    """
    total = (await journal.size()).pending
    backoff, done, dead_letters = backoff or Backoff(BackoffPolicy()), 0, 0
    async for slice_ in journal.unapplied():
        report = await retry(
            partial(pipeline.process, slice_.records),
            "recovery waits for a store",
            backoff=backoff,
            attempts=_ATTEMPTS,
        )
        backoff.reset()
        dead_letters += sum(report.dead_letters.values())
        await journal.mark_applied(slice_.log_id, next_offsets(slice_.records))
        done += len(slice_.records)
        on_progress(done, total)
    return Replayed(done, dead_letters)


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
        # The vector index lost writes with the machine; the journal has restored their content, but not how often it was
        # written. The replica would refuse the lower revision as outdated, so the point goes beyond the document's.
        ahead = documents_ahead(points, held)
        await lift(vectors, ahead)
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


def _differs(document: SearchDocument | None, payload: PointPayload) -> bool:
    return document is None or (document.rev, document.state) != (payload.rev, stored_digest(payload.state))


async def restore(
    keys: Collection[SkuKey],
    reader: TextIndexReader,
    journal: SqliteChangeJournal,
    *,
    topic: str,
    policy: DocumentPolicy,
) -> int:
    """Journal the changes of these products' documents, as not applied yet; returns how many products live."""
    changes, restored = JournalledChanges(journal, topic), 0
    ordered = sorted(keys)
    for start in range(0, len(ordered), _PAGE):
        held = await asyncio.to_thread(reader.fetch, ordered[start : start + _PAGE])
        living = [document for document in held.values() if not document.deleted]
        await changes.send([event for document in living for event in changes_of(document, policy)])
        restored += len(living)
    if restored:
        log.warning("the journal does not reach back: products are restored from the replica", products=restored)
    return restored


MARKER: Final = "one-spelling"
"""In a generation's folder; of `main` it lies in the data directory (`DataDirectory.one_spelling`)."""


async def respell_once(marker: Path, respeller: Respeller) -> int:
    """Join all of them where that was not done before; returns how many there were.

    Raises:
        RetryableError: a store or the log did not answer; the next start does it again.
    """
    if await asyncio.to_thread(marker.exists):
        return 0
    respelled = await respeller.respell_all()
    if respelled.apart:
        log.error(
            "products in other spellings of their SKU could not be joined; the next start tries again",
            products=len(respelled.apart),
            samples={str(key): fault.reason.detail for key, fault in sorted(respelled.apart.items())[:5]},
        )
    else:
        await asyncio.to_thread(marker.touch)
    return respelled.joined


async def fill_contents(contents: ContentVectors, vectors: VectorIndex, spaces: Spaces) -> None:
    """Give the content store what an older release computed with these models, once; beside searches, so with rests."""
    mark: Final = ("filled", spaces.pair)
    try:
        if await contents.get(*mark, ["once"]):
            return
        async for page in vectors.scan(page=_PAGE):
            for name, space in spaces.items():
                hashes = {
                    key: found.hash
                    for key, point in page.items()
                    if (found := point.provenance_of(name)).revision == space.revision
                }
                held = await vectors.vectors(list(hashes), using=name)
                # A text that changed in between has another vector than the page says.
                now = await vectors.revisions(list(held))
                same = {hashes[key]: held[key] for key, rev in now.items() if rev == page[key].rev}
                await contents.put(name, space.revision, same)
            await asyncio.sleep(_FILL_REST_S)
        await contents.put(*mark, {"once": np.ones(1, np.float32)})
    except Exception as error:  # noqa: BLE001 -- it only saves work later; the next start tries again
        log.warning("the content store was not filled from the vector index", error=repr(error))
