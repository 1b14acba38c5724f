"""A catalogue file as the truth: its rows, read and converted as `ferroflux ingest` does.

The rows are the products; a shop's products that the file does not name are too many. A price or stock cell counts where
it says something, as in an ingest, so only for items does a missing row say that something is too much.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson
import structlog

from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import Rejected, RowConverter
from ferroflux.ingest.rows import Row, RowSource
from indexer.reconcile.ports import NO_DOCUMENTS
from schemas.events.canonical import parse_canonical
from schemas.identity import tenant_id
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.version import SourceVersion

log = structlog.get_logger(__name__)

_PAGE: Final = 500


class CatalogueRows:
    """One file. `versioned` where the rows give their own versions (a sequence column)."""

    exact = True
    facets: frozenset[str] = frozenset({ITEM_FACET})
    documents = NO_DOCUMENTS
    read_at: SourceVersion | None = None

    def __init__(
        self, file: Path, columns: ColumnMapping, *, tenant: str = "", currency: str = "", decimal_comma: bool = False
    ) -> None:
        """Open the file and look at its first row.

        Raises:
            ConfigurationError: there is no such file, or it is of no known format.
        """
        self._source = RowSource(file)
        self._converter = RowConverter(columns, 0, tenant=tenant, currency=currency, decimal_comma=decimal_comma)
        self._default_tenant = tenant_id(tenant or "default")
        self.rejected = 0
        self.name = file.name
        first = next((row for row in self._source if isinstance(row, Row)), None)
        names = () if first is None else tuple(first.cells)
        self.versioned = "sequence" in self._converter.columns(names).columns

    async def pages(self) -> AsyncIterator[Sequence[ChangeEvent]]:
        """The rows in the file's order."""
        pages = self._pages()
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            yield page

    def _pages(self) -> Iterator[list[ChangeEvent]]:
        rows = iter(self._source)
        while chunk := list(itertools.islice(rows, _PAGE)):
            events: list[ChangeEvent] = []
            for row in chunk:
                converted = self._converter.convert(row, 0)
                if isinstance(converted, Rejected):
                    self.rejected += 1
                    log.warning("row of the catalogue cannot be read", line=converted.line, reason=converted.reason)
                    continue
                events.extend(
                    parse_canonical(orjson.loads(change.value), self._default_tenant) for change in converted.changes
                )
            yield events
