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


def documents_ahead(
    points: Mapping[SkuKey, PointPayload], documents: Mapping[SkuKey, SearchDocument]
) -> dict[SkuKey, int]:
    """The revisions of the documents that would overrule what their points publish next.

    A write that was on its way while its store was replaced lands in the new one at a low revision; what is published of
    it is refused by every replica until it has been written often enough. This holds of products that await their item, too.
    """
    return {
        key: document.rev
        for key, document in documents.items()
        if (point := points.get(key)) is not None
        and (document.rev, document.state) != (point.rev, stored_digest(point.state))
        and document.rev >= point.rev
    }


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
