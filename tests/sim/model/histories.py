"""Random histories of a small warehouse: several facets and places, deletions, revivals, stale and doubled events, poison.

Some rows come as a connector's snapshot reads (which the indexer moves to the bulk topic), some by the bulk topic.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from schemas.events.admission import Changes
from schemas.events.canonical import encode_event
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.changes import ChangeEvent, facet_key
from schemas.version import SourceVersion
from tests.sim.model.broker import BULK, CHANGES

_PARSER = EventParser()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A record on its way to a change topic's partition. `event` is None for poison."""

    at_s: float
    topic: str
    partition: int
    key: bytes
    value: bytes
    event: ChangeEvent | None


@dataclass(frozen=True, slots=True)
class Load:
    """How much of a history is a load: reads of a connector, and rows sent to the bulk topic, all of them at one moment."""

    share: float
    at_s: float


def history(
    rng: random.Random, *, events: int, skus: int, partitions: int, from_s: float, over_s: float, after: int = 0
) -> list[Arrival]:
    """Events in an order of arrival that their versions do not follow; a facet's rows may come by several partitions.

    Versions count up from `after`, times from `from_s` on.
    """
    arrivals = []
    load = Load(rng.choice((0.1, 0.3, 0.6)), from_s + rng.uniform(0, over_s))
    for version in range(after + 1, after + events + 1):
        event = _event(rng, f"S{rng.randrange(skus)}", version)
        times = 2 if rng.random() < 0.15 else 1  # a producer that tries again
        arrivals += [_arrival(rng, event, partitions, from_s, over_s, load) for _ in range(times)]
    for number in range(rng.choice((0, 0, 1, 2))):
        at, place = from_s + rng.uniform(0, over_s), rng.randrange(partitions)
        topic = rng.choice((CHANGES, CHANGES, BULK))
        arrivals.append(Arrival(at, topic, place, b"acme/S0", b'{"sku": "S0", "poison": %d}' % (after + number), None))
    return in_order(arrivals)


def repeated(rng: random.Random, arrivals: Sequence[Arrival], *, from_s: float, over_s: float) -> list[Arrival]:
    """Old rows that a source sends once more."""
    old = [arrival for arrival in arrivals if arrival.event is not None]
    again = rng.sample(old, k=min(len(old), rng.choice((0, 1, 2))))
    return [replace(arrival, at_s=from_s + rng.uniform(0, over_s)) for arrival in again]


def in_order(arrivals: Sequence[Arrival]) -> list[Arrival]:
    """By their time of arrival."""
    return sorted(arrivals, key=lambda arrival: arrival.at_s)


def read_of(event: ChangeEvent, at_s: float, partition: int) -> Arrival:
    """An event's row as a connector's snapshot read of it."""
    key, value = b'{"sku":"%s"}' % event.key.sku.encode(), _read(event)
    parsed = _PARSER.parse(key, value)
    assert isinstance(parsed, Changes)
    (read,) = parsed.events
    return Arrival(at_s, CHANGES, partition, key, value, read)


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


def _arrival(
    rng: random.Random, event: ChangeEvent, partitions: int, from_s: float, over_s: float, load: Load
) -> Arrival:
    # Each facet's table has its own connector and so its own partition; now and then a row comes another way.
    usual = sum(map(ord, f"{event.facet}{event.key}")) % partitions
    partition = usual if rng.random() < 0.85 else rng.randrange(partitions)
    # A deletion is sometimes overtaken by rows that are older than it.
    at = from_s + over_s * (event.version.sequence % 97) / 97 * 0.3 + rng.uniform(0, over_s * 0.7)
    loaded, read = rng.random() < load.share, rng.random() < 0.8
    if loaded and read and event.facet == "item" and event.fields is not None and not event.unavailable:
        return read_of(event, at, partition)
    if loaded:
        at = load.at_s + rng.uniform(0, 0.3)
    return Arrival(at, BULK if loaded else CHANGES, partition, event.key.kafka_key, encode_event(event), event)


def _read(event: ChangeEvent) -> bytes:
    """The row as Debezium's snapshot of a PostgreSQL table gives it."""
    row = {"tenant": event.key.tenant, "sku": event.key.sku, **(event.fields or {})}
    source: dict[str, object] = {
        "connector": "postgresql",
        "name": "w",
        "db": "w",
        "schema": "public",
        "table": "products",
    }
    source |= {"snapshot": "true", "lsn": event.version.sequence}
    return orjson.dumps({"before": None, "after": row, "source": source, "op": "r", "ts_ms": 1})
