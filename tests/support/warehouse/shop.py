"""A shop's view of the API: what it finds and what its products look like."""

from collections.abc import Callable
from typing import Any

import httpx


class Shop:
    """One tenant of a running API; `url(process, path)` says where the API is."""

    def __init__(self, url: Callable[[str, str], str], tenant: str) -> None:
        self._url = url
        self.tenant = tenant

    def skus(self, text: str, *, limit: int = 10) -> list[str]:
        """SKUs of a search's hits, best first; an empty text lists the shop."""
        reply = httpx.get(self._url("api", "/v1/search"), params={"tenant": self.tenant, "q": text, "limit": limit})
        assert reply.status_code == 200, reply.text
        return [hit["item"]["sku"] for hit in reply.json()["hits"]]

    def item(self, sku: str) -> dict[str, Any] | None:
        """The product as the API gives it; None where there is none."""
        reply = httpx.get(self._url("api", f"/v1/items/{sku}"), params={"tenant": self.tenant})
        return None if reply.status_code == 404 else reply.raise_for_status().json()

    def shows(self, sku: str, **fields: Any) -> bool:
        """Whether the product has these values now."""
        item = self.item(sku)
        return item is not None and fields.items() <= item.items()
