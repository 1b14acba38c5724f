"""Facet counts over the candidates of one answer. Pure: what is counted is exactly what can be paged through."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from retrieval.filters import fold_keyword
from retrieval.search.query import Facets, PriceRange, ValueCounted
from schemas.catalogue import FILTERABLE, Filter
from schemas.documents import SearchDocument

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
"""Multiples of a power of ten that people read as round prices."""

_SMALLEST_CUT: Final = 0.01
"""Prices below a cent are not told apart."""


def count_facets(documents: Sequence[SearchDocument], *, values: int, price_buckets: int) -> Facets:
    """Count what the table has a facet of (values, ranges, yes and no) over these documents, each once.

    Values that differ only in case or blanks are one value, shown as most products write it; the `values`
    most frequent are given, ties in alphabetical order. A product without a value or a number is in no such count.
    """
    counts: dict[str, Any] = {}
    for field in FILTERABLE:
        held = [getattr(document, field.key) for document in documents] if field.facets else []
        match field.facets, field.filter:
            case (name,), Filter.ANY_OF:
                counts[name] = _most_frequent(held, values)
            case (name,), Filter.RANGE:
                counts[name] = price_ranges([number for number in held if number is not None], price_buckets)
            case (having, lacking), Filter.FLAG:
                counts[having] = sum(held)
                counts[lacking] = len(held) - counts[having]
    return Facets(**counts)


def price_ranges(prices: Sequence[float], buckets: int) -> tuple[PriceRange, ...]:
    """Cut prices at round figures near their quantiles into at most `buckets` ranges; empty ranges are left out.

    Quantiles, since prices in a hardware catalogue run over four orders of magnitude: ranges of equal width would put
    nearly all into the first. The first range begins at 0, the last has no end; each is [low, high).
    """
    if not prices:
        return ()
    ordered = sorted(prices)
    quantiles = [ordered[len(ordered) * cut // buckets] for cut in range(1, buckets)]
    cuts = sorted({round_price(price) for price in quantiles if price >= _SMALLEST_CUT})
    bounds = [min(0.0, ordered[0]), *cuts]
    highs: list[float | None] = [*cuts, None]
    ranges = []
    for low, high in zip(bounds, highs, strict=True):
        count = sum(1 for price in ordered if price >= low and (high is None or price < high))
        if count:
            ranges.append(PriceRange(low, high, count))
    return tuple(ranges)


def round_price(price: float) -> float:
    """The nearest round price (1, 2, 2.5, 5 times a power of ten) in ratio; `price` is positive."""
    magnitude = 10.0 ** math.floor(math.log10(price))
    return min((step * magnitude for step in _STEPS), key=lambda step: abs(math.log(step / price)))


def _most_frequent(values: Sequence[str], limit: int) -> tuple[ValueCounted, ...]:
    spellings: dict[str, Counter[str]] = {}
    for value, count in Counter(values).items():  # few are distinct: each is folded once
        folded = fold_keyword(value)
        if folded:
            spellings.setdefault(folded, Counter())[" ".join(value.split())] += count
    ordered = sorted(spellings.items(), key=lambda entry: (-entry[1].total(), entry[0]))
    return tuple(ValueCounted(_usual(counts), counts.total()) for _, counts in ordered[:limit])


def _usual(spellings: Counter[str]) -> str:
    return min(spellings, key=lambda spelling: (-spellings[spelling], spelling))
