"""Queries that no cache has seen: two to four words of a product's title, in the product's shop."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.benchmarks.workload.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Query:
    """One search of one shop."""

    tenant: str
    text: str


def distinct_queries(catalogue: Catalogue, seed: int) -> Iterator[Query]:
    """Endless queries, none twice: a number is added where the titles' words run out."""
    draw = random.Random(seed)
    seen: set[tuple[str, str]] = set()
    while True:
        row = draw.choice(catalogue.rows)
        words = [word for word in str(row["title"]).split() if len(word) > 1] or ["tornillo"]
        chosen = draw.sample(words, min(len(words), draw.randint(2, 4)))
        text = " ".join(chosen)
        if (row["tenant"], text) in seen:
            text = f"{text} {draw.randrange(1_000)}"
        if (row["tenant"], text) not in seen:
            seen.add((row["tenant"], text))
            yield Query(row["tenant"], text)
