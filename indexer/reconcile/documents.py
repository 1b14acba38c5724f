"""Store against store: the text replica's documents beside the vector index's points. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from indexer.awaiting import awaits_item
from indexer.reconcile.compare import Kind
from retrieval.vectors.port import PointPayload
from schemas.building import stored_digest
from schemas.documents import SearchDocument
from schemas.identity import SkuKey


def compare_documents(
    points: Mapping[SkuKey, PointPayload], documents: Mapping[SkuKey, SearchDocument]
) -> dict[SkuKey, Kind]:
    """How the replica's documents differ from these points, by product; products that agree are left out.

    A product that awaits its item has no document, save a tombstone that was left over: one that lives is of an item that the
    store has lost. An equal revision of another state counts as outdated: publishing the product again mends it.
    """
    return {key: kind for key, point in points.items() if (kind := _difference(point, documents.get(key))) is not None}


def _difference(point: PointPayload, document: SearchDocument | None) -> Kind | None:
    if awaits_item(point):
        return None if document is None or document.deleted else Kind.REPLICA_EXTRA
    if document is None:
        return Kind.REPLICA_MISSING
    if document.rev > point.rev:
        return Kind.REPLICA_AHEAD
    if document.rev == point.rev and document.state == stored_digest(point.state):
        return None
    return Kind.REPLICA_OUTDATED
