"""Our own topics as sources of truth: the change log, and the documents from which a store that was lost can be restored.

Of the change log, the stores must hold at least the merge of what it still keeps. A document is what searchers see of a product: its fields, prices and stocks, but not the versions that they came with. So the
changes that would make it carry the lowest version that there is. Whatever the source sends, or the log still holds, is newer,
and wins, in any order; `ferroflux replay` afterwards brings back the versions of all that the log holds.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

import structlog

from indexer.reconcile.ports import NO_DOCUMENTS
from indexer.records import InboundRecord, taken_ms
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.catalogue import PLAIN
from schemas.documents import SearchDocument
from schemas.errors import PoisonError
from schemas.events.admission import Changes
from schemas.events.parser import EventParser
from schemas.product.building import DocumentPolicy
from schemas.product.changes import ITEM_FACET, ChangeEvent, facet_key
from schemas.version import SourceVersion

log = structlog.get_logger(__name__)

LOWEST: Final = SourceVersion(0, 0)
_PLAIN_NAMES: Final = tuple(field.name for field in PLAIN)
_STOCK_DECIMALS: Final = 9


def changes_of(document: SearchDocument, policy: DocumentPolicy) -> list[ChangeEvent]:
    """The changes of which this document would be built again, at the lowest version; of a tombstone, the deletion.

    What stands in the document without a list or a place goes to the item itself, where a later row of its own facet
    overrules it; beside named lists or places it can only have been a row without a name.
    """
    if document.deleted:
        return [_event(document, ITEM_FACET, None)]
    item: dict[str, Any] = {name: value for name in _PLAIN_NAMES if (value := _plain(getattr(document, name)))}
    if document.currency:
        item["currency"] = document.currency
    rows: list[tuple[str, dict[str, Any]]] = [
        *((f"price:{name}", {"price": price}) for name, price in document.prices.items()),
        *((f"stock:{name}", {"stock": stock}) for name, stock in document.stocks.items()),
    ]
    if document.price is not None and document.price != _price_in_force(document, policy):
        _beside(item, rows, "price", document.price, named=bool(document.prices))
    stock = _stock_elsewhere(document, policy)
    if stock is not None:
        _beside(item, rows, "stock", stock, named=bool(document.stocks))
    if document.currency:
        rows = [
            (name, {**fields, "currency": document.currency} if name.startswith("price") else fields)
            for name, fields in rows
        ]
    return [
        _event(document, ITEM_FACET, item),
        *(_event(document, facet_key(name), fields) for name, fields in rows),
    ]


class DocumentRows:
    """Every document that stands last in its topic, or that the replica of an embedded system holds."""

    name = "documents"
    exact = False
    versioned = True
    facets: frozenset[str] = frozenset()
    read_at: SourceVersion | None = None

    def __init__(
        self, documents: Callable[[], AsyncIterator[Sequence[SearchDocument]]], policy: DocumentPolicy
    ) -> None:
        """`documents` gives each product's newest one, a page at a time."""
        self._documents = documents
        self._policy = policy
        self.rejected = 0
        self.documents = NO_DOCUMENTS

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The changes of each page of documents. Of one that was shortened, what it lacks stays missing, and is told."""
        lacking = 0
        async for page in self._documents():
            events: list[ChangeEvent] = []
            self.documents = {document.key: document for document in page}
            for document in page:
                lacking += bool(document.omitted)
                try:
                    events += changes_of(document, self._policy)
                except PoisonError as error:
                    self.rejected += 1
                    log.warning("document cannot be restored", product=str(document.key), reason=str(error))
            yield events
        if lacking:
            log.warning("documents lack parts that were too large for their topic", products=lacking)


def _event(document: SearchDocument, facet: Any, fields: dict[str, Any] | None) -> ChangeEvent:
    return ChangeEvent(document.key, facet, LOWEST, fields, changed_at_us=document.times.changed_us)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _beside(
    item: dict[str, Any], rows: list[tuple[str, dict[str, Any]]], name: str, value: float, *, named: bool
) -> None:
    if named:
        rows.append((name, {name: value}))
    else:
        item[name] = value


def _price_in_force(document: SearchDocument, policy: DocumentPolicy) -> float | None:
    """What the named lists alone would give."""
    if not document.prices:
        return None
    name = policy.price_list if policy.price_list in document.prices else min(document.prices)
    return document.prices[name]


def _stock_elsewhere(document: SearchDocument, policy: DocumentPolicy) -> float | None:
    """The part of the stock that no named place has."""
    if document.stock is None or not document.stocks:
        return document.stock
    counted = [
        stock for name, stock in document.stocks.items() if policy.stock_from is None or name in policy.stock_from
    ]
    rest = round(document.stock - math.fsum(counted), _STOCK_DECIMALS)
    return rest or None


class ChangeLogRows:
    """Every change that the log keeps. A record that is no event went to the dead letters when it was indexed."""

    name = "log"
    exact = False
    versioned = True
    facets: frozenset[str] = frozenset()
    documents = NO_DOCUMENTS
    read_at: SourceVersion | None = None

    def __init__(
        self,
        records: Callable[[], AsyncIterator[Sequence[InboundRecord]]],
        parser: EventParser,
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """`records` gives the log's records, a page at a time, from the oldest kept to the newest at the call."""
        self._records = records
        self._parser = parser
        self._clock = clock
        self.rejected = 0

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The changes of each page of records."""
        async for records in self._records():
            yield [event for record in records for event in self._events(record)]

    def _events(self, record: InboundRecord) -> tuple[ChangeEvent, ...]:
        try:
            taken = taken_ms(record, self._clock.now_us() // 1_000)
            parsed = self._parser.parse(record.key, record.value, taken_ms=taken)
        except PoisonError as error:
            self.rejected += 1
            log.debug("record is no change", coordinates=record.coordinates, reason=str(error))
            return ()
        return parsed.events if isinstance(parsed, Changes) else ()
