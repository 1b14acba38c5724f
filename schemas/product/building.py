"""From merged state to search document: a pure function, so equal states give equal documents.

It is total: any merged state builds, whatever an older version of the software once let in; a value of the wrong kind
counts as absent. The states of today are normalised at the edge, so nothing is validated twice on the hot path.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from schemas.catalogue import PLAIN, Kind
from schemas.documents import NO_TIMES, AttributeValue, DocumentTimes, SearchDocument
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, facet_instance, facet_name
from schemas.product.fields import ATTRIBUTE_PREFIX
from schemas.product.merge import FacetState, ItemState

_STOCK_DECIMALS: Final = 9


@dataclass(frozen=True, slots=True)
class DocumentPolicy:
    """How several rows of a facet become one value: which price list is in force, which places' stock counts.

    `stock_from` None counts every place; the empty name is the place without a name.
    """

    price_list: str = ""
    stock_from: frozenset[str] | None = None


DEFAULT_POLICY: Final = DocumentPolicy()


def state_digest(state: ItemState) -> str:
    """Digest of a state's canonical bytes, 16 hex digits: equal digests, equal documents under one policy."""
    return blake2b(state.to_bytes(), digest_size=8).hexdigest()


def stored_digest(raw: bytes) -> str:
    """The digest of a state as it is stored; of bytes that are no state, which no document can have come from, their own."""
    try:
        return state_digest(ItemState.from_bytes(raw))
    except Exception:  # noqa: BLE001 - whatever is wrong with them, they differ from every document
        return blake2b(raw, digest_size=8).hexdigest()


def build_document(
    key: SkuKey,
    state: ItemState,
    rev: int,
    policy: DocumentPolicy = DEFAULT_POLICY,
    *,
    text_hash: str = "",
    model: str = "",
    times: DocumentTimes | None = None,
) -> SearchDocument:
    """The document of one product at one revision.

    A price row goes before the item's own price, a stock row before its own stock. The price in force is the unnamed
    list's, else the policy's, else that of the lowest name; the stock is the sum over the places that count. A product
    that is not alive becomes a tombstone document: identity, revision and state digest only. Of a product with more places
    or lists than it may hold, those of the least names count, and `omitted` says so.
    """
    if not state.alive:
        return SearchDocument.trusted(tenant=key.tenant, sku=key.sku, rev=rev, state=state_digest(state), deleted=True)
    item = state.facets[ITEM_FACET].values()
    omitted = tuple(f"more_{name}s" for name in ("price", "stock") if state.overfull(name))
    prices, currencies, stocks = _overlays(state.held() if omitted else state.facets)
    in_force = _list_in_force(prices, policy)
    price = _number(item.get("price")) if in_force is None else prices[in_force]
    currency = (currencies.get(in_force, "") if in_force is not None else "") or _text(item.get("currency"))
    stock = _number(item.get("stock"))
    if stocks:
        counted = stocks if policy.stock_from is None else _chosen(stocks, policy.stock_from)
        total = math.fsum(counted.values())
        # The places' amounts are decimals: their sum is one too, without the binary remainder (1.1 + 2.2).
        stock = round(total, _STOCK_DECIMALS) if math.isfinite(total) else None
    return SearchDocument.trusted(
        tenant=key.tenant,
        sku=key.sku,
        rev=rev,
        state=state_digest(state),
        **{name: read(item.get(name)) for name, read in _PLAIN},
        attributes=_attributes(item),
        price=price,
        currency=currency,
        prices={name: prices[name] for name in sorted(prices) if name},
        stock=stock,
        stocks={name: stocks[name] for name in sorted(stocks) if name},
        text_hash=text_hash,
        model=model,
        times=times if times is not None else NO_TIMES,
        omitted=omitted,
    )


def _overlays(
    facets: Mapping[Any, FacetState],
) -> tuple[dict[str, float], dict[str, str], dict[str, float]]:
    """Prices and currencies by list, stocks by place; the unnamed row's name is empty."""
    prices: dict[str, float] = {}
    currencies: dict[str, str] = {}
    stocks: dict[str, float] = {}
    for facet, row in facets.items():
        if row.fields is None:
            continue
        name, instance = facet_name(facet), facet_instance(facet)
        if name == "price":
            values = row.values()
            price = _number(values.get("price"))
            if price is not None:
                prices[instance] = price
                currencies[instance] = _text(values.get("currency"))
        elif name == "stock":
            stock = _number(row.values().get("stock"))
            if stock is not None:
                stocks[instance] = stock
    return prices, currencies, stocks


def _list_in_force(prices: Mapping[str, float], policy: DocumentPolicy) -> str | None:
    if not prices:
        return None
    if "" in prices:
        return ""
    return policy.price_list if policy.price_list in prices else min(prices)


def _chosen(stocks: Mapping[str, float], places: frozenset[str]) -> dict[str, float]:
    return {name: stock for name, stock in stocks.items() if name in places}


def _text(value: Any) -> str:
    return value if type(value) is str else ""


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list:
        return (value,) if type(value) is str and value else ()
    return tuple(text for text in value if type(text) is str)


def _number(value: Any) -> float | None:
    if type(value) is int:
        value = float(value) if abs(value) < 2**63 else None
    return value if type(value) is float and math.isfinite(value) else None


def _attributes(item: Mapping[str, Any]) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {}
    together = item.get("attributes")
    if type(together) is dict:
        for name, value in together.items():
            _add_attribute(attributes, name, value)
    for name, value in item.items():
        if name.startswith(ATTRIBUTE_PREFIX):
            _add_attribute(attributes, name.removeprefix(ATTRIBUTE_PREFIX), value)
    return {
        name: attributes[name] for name in sorted(attributes)
    }  # a state read back has another order, the same bytes


_READ: Final[Mapping[Kind, Callable[[Any], Any]]] = {
    Kind.TEXT: _text, Kind.TEXTS: _texts, Kind.SENTENCES: _texts, Kind.NUMBER: _number
}  # fmt: skip
_PLAIN: Final = tuple((one.name, _READ[one.kind]) for one in PLAIN if one.kind is not Kind.ATTRIBUTES)


def _add_attribute(attributes: dict[str, AttributeValue], name: str, value: Any) -> None:
    if type(value) is str or type(value) is bool:
        attributes[name] = value
        return
    number = _number(value)
    if number is not None:
        attributes[name] = number
