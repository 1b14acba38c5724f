"""A catalogue that searches for the same thing once: the tool calls of one step often lead to the same search.

Only searches are remembered. What a product costs and how much of it there is, `items`, is read afresh each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from agent.conversation.products import Found, Product
from agent.ports import CatalogueSearch
from schemas.identity import TenantId

_Question = tuple[TenantId, str, int, tuple[str, ...], Decimal | None, bool]


class CachedSearch:
    """`CatalogueSearch` over another one, for as long as one step of a turn lasts; a search that failed is asked again."""

    def __init__(self, search: CatalogueSearch) -> None:
        self._search: Final = search
        self._found: dict[_Question, Found] = {}

    async def find(
        self,
        tenant: TenantId,
        text: str,
        *,
        limit: int,
        brands: Sequence[str] = (),
        price_max: Decimal | None = None,
        in_stock: bool = False,
    ) -> Found:
        """Search, or give the answer that this very question had."""
        question = (tenant, text, limit, tuple(brands), price_max, in_stock)
        found = self._found.get(question)
        if found is None:
            found = await self._search.find(
                tenant, text, limit=limit, brands=brands, price_max=price_max, in_stock=in_stock
            )
            self._found[question] = found
        return found

    async def items(self, tenant: TenantId, skus: Sequence[str]) -> Mapping[str, Product]:
        """The products as they are now."""
        return await self._search.items(tenant, skus)

    async def vocabulary(self, tenant: TenantId, text: str, *, limit: int) -> list[str]:
        """Words of the catalogue near the text's."""
        return await self._search.vocabulary(tenant, text, limit=limit)
