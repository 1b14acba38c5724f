"""What neither the journal nor a vector index that was lost has any more is taken from the replica's documents.

A journal that was pruned cannot fill a new vector index: products whose changes it has forgotten would be missing in it for
ever, and found by their words alone. The changes that make their documents go into the journal first, at the lowest version,
so that a start that is killed goes on, and every later rebuild has them as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from ferroflux.operations.reconcile.embedded import JournalledChanges
from indexer.journal.sqlite import SqliteChangeJournal
from indexer.reconcile.restored import changes_of
from retrieval.text.port import TextIndexReader
from schemas.building import DocumentPolicy
from schemas.identity import SkuKey

log = structlog.get_logger(__name__)

_PAGE: Final = 500


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
