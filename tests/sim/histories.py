"""Random histories of a small warehouse: several facets and places, deletions, revivals, stale and doubled events, poison."""

import random
from dataclasses import dataclass, replace

from schemas.changes import ChangeEvent, facet_key
from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.version import SourceVersion


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record on its way to a change topic's partition. `event` is None for poison."""

    at_s: float
    partition: int
    key: bytes
    value: bytes
    event: ChangeEvent | None


def history(rng: random.Random, *, events: int, skus: int, partitions: int, over_s: float) -> list[Arrival]:
    """Events in an order of arrival that their versions do not follow; a facet's rows may come by several partitions."""
    arrivals = []
    for version in range(1, events + 1):
        event = _event(rng, f"S{rng.randrange(skus)}", version)
        times = 2 if rng.random() < 0.15 else 1  # a producer that tries again
        arrivals += [_arrival(rng, event, partitions, over_s) for _ in range(times)]
    for number in range(rng.choice((0, 0, 1, 2))):
        at, place = rng.uniform(0, over_s), rng.randrange(partitions)
        arrivals.append(Arrival(at, place, b"acme/S0", b'{"sku": "S0", "poison": %d}' % number, None))
    return sorted(arrivals, key=lambda arrival: arrival.at_s)


def _event(rng: random.Random, sku: str, version: int) -> ChangeEvent:
    facet = rng.choice(("item", "item", "item", "price", "stock:one", "stock:two"))
    fields: dict[str, object] | None
    if facet == "item":
        fields = None if rng.random() < 0.3 else {"title": f"Bolt {rng.randrange(3)}", "brand": rng.choice("AB")}
    elif facet == "price":
        fields = {"price": float(version)}
    else:
        fields = None if rng.random() < 0.1 else {"stock": float(rng.randrange(5))}
    event = ChangeEvent(SkuKey.of("acme", sku), facet_key(facet), SourceVersion(0, version), fields)
    if fields is not None and facet == "item" and rng.random() < 0.2:
        event = replace(event, fields={"title": fields["title"]}, unavailable=frozenset({"brand"}))
    return event


def _arrival(rng: random.Random, event: ChangeEvent, partitions: int, over_s: float) -> Arrival:
    # Each facet's table has its own connector and so its own partition; now and then a row comes another way.
    usual = sum(map(ord, f"{event.facet}{event.key}")) % partitions
    partition = usual if rng.random() < 0.85 else rng.randrange(partitions)
    # A deletion is sometimes overtaken by rows that are older than it.
    at = over_s * (event.version.sequence % 97) / 97 * 0.3 + rng.uniform(0, over_s * 0.7)
    return Arrival(at, partition, event.key.kafka_key, encode_event(event), event)
