"""Histories of changes to throw at the system: seeded, with reordering, repetition, deletions and every facet."""

import random

from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, FacetKey
from schemas.version import SourceVersion
from tests.support.kafka.clients import Record

_NOUNS = ("tornillo", "broca", "martillo", "tubo", "codo", "cable", "llave", "pintura", "candado", "bisagra")
_TRAITS = ("galvanizado", "inox", "pvc", "acero", 'de 1/2"', "m8x40", "rojo", "reforzado", "profesional", "corto")


def event_record(event: ChangeEvent) -> Record:
    """The event as a producer of ours sends it."""
    return Record(event.key.kafka_key, encode_event(event))


def history(seed: int, *, skus: int, changes: int, tenant: str = "acme") -> list[Record]:
    """So many changes of so many products in a log's order, a tenth of them out of order or repeated."""
    rng = random.Random(seed)
    events = [
        _change(rng, SkuKey.of(tenant, f"SKU-{rng.randrange(skus):05d}"), version) for version in range(1, changes)
    ]
    for _ in range(changes // 20):
        place, other = rng.randrange(len(events)), rng.randrange(len(events))
        events[place], events[other] = events[other], events[place]
    repeated = rng.sample(events, changes // 20)
    return [event_record(event) for event in events + repeated]


def _change(rng: random.Random, key: SkuKey, version: int) -> ChangeEvent:
    stamp = SourceVersion(0, version)
    kind = rng.random()
    if kind < 0.35:
        title = f"{rng.choice(_NOUNS)} {rng.choice(_TRAITS)} {rng.choice(_TRAITS)}"
        fields = {"title": title, "brand": rng.choice(("Truper", "Pretul", "Foset")), "category": "Ferretería"}
        return ChangeEvent(key, ITEM_FACET, stamp, fields)
    if kind < 0.45:
        return ChangeEvent(key, ITEM_FACET, stamp, None)
    if kind < 0.7:
        facet = FacetKey(rng.choice(("price", "price:wholesale")))
        return ChangeEvent(key, facet, stamp, {"price": round(rng.uniform(1, 900), 2), "currency": "MXN"})
    facet = FacetKey(f"stock:branch-{rng.randrange(3)}")
    return ChangeEvent(key, facet, stamp, {"stock": float(rng.randrange(200))} if kind < 0.95 else None)
