"""Records that can never be processed, of many kinds: what producers, converters and disks have been known to send."""

import json
import random
from collections.abc import Callable
from typing import Any

from tests.support.kafka.clients import Record

NUMBER_HEADER = "test.number"


def malformed_records(count: int, seed: int) -> list[Record]:
    """So many malformed records, every kind in turn, each with its number in a header to be found again by."""
    rng = random.Random(seed)
    records = []
    for number in range(count):
        key, value = _KINDS[number % len(_KINDS)](rng)
        headers: list[tuple[str, bytes | None]] = [(NUMBER_HEADER, str(number).encode())]
        if number % 3 == 0:
            headers.append(("binary", bytes([0xFF, 0x00, 0xFE])))
        if number % 5 == 0:
            headers.append(("null", None))
        records.append(Record(key, value, tuple(headers)))
    return records


def _event(**changes: Any) -> bytes:
    event: dict[str, Any] = {
        "tenant": "acme",
        "sku": "BAD-1",
        "facet": "item",
        "op": "upsert",
        "version": {"epoch": 0, "sequence": 1},
        "fields": {"title": "never to be seen"},
    }
    event.update(changes)
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def _sent(**changes: Any) -> Callable[[random.Random], tuple[bytes | None, bytes]]:
    return lambda _rng: (b"acme/BAD-1", _event(**changes))


def _raw(value: bytes, key: bytes | None = b"acme/BAD-1") -> Callable[[random.Random], tuple[bytes | None, bytes]]:
    return lambda _rng: (key, value)


def _debezium(payload: dict[str, Any], key: bytes | None) -> Callable[[random.Random], tuple[bytes | None, bytes]]:
    source = {"connector": "postgresql", "db": "erp", "schema": "public", "table": "products", "lsn": 1, "ts_ms": 1}
    return _raw(json.dumps({"source": source, "ts_ms": 1, **payload}).encode(), key)


_KINDS: tuple[Callable[[random.Random], tuple[bytes | None, bytes]], ...] = (
    _raw(b"{"),
    _raw(b"not json at all"),
    _raw(b"\xff\xfe\x00\x01"),
    _raw(b'{"tenant": "acme", "sku": "\xff\xfe"}'),
    _raw(b"[1, 2, 3]"),
    _raw(b'"a text"'),
    _raw(b"42"),
    _raw(b"{}"),
    _raw(_event()[:-7]),
    _raw(b"[" * 5_000, None),
    lambda rng: (rng.randbytes(8), b"\x00" + rng.randbytes(200)),
    _sent(sku=...),
    _sent(sku=""),
    _sent(sku="line\nbreak"),
    _sent(sku="x" * 300),
    _sent(sku=["A"]),
    _sent(tenant="no/slash"),
    _sent(tenant=""),
    _sent(tenant=7),
    _sent(version=...),
    _sent(version="new"),
    _sent(version={"epoch": 0, "sequence": -1}),
    _sent(version={"epoch": 0, "sequence": 2**64}),
    _sent(version={"epoch": 2**40, "sequence": 1}),
    _sent(facet="Item"),
    _sent(facet="item:copy"),
    _sent(facet=5),
    _sent(op="explode"),
    _sent(fields="title"),
    _sent(fields={"title": "x" * 3_000}),
    _sent(fields={"title": "ok", "price": "about ten"}),
    _sent(fields={"title": "ok", "price": 1e300}),
    _sent(fields={"title": {"es": "mapa"}}),
    _sent(surprise=True),
    _debezium({"op": "d", "before": None, "after": None}, None),
    _debezium({"op": "c", "before": None, "after": {"name": "no key column"}}, None),
    _debezium({"op": "?", "before": None, "after": {"id": 1, "name": "unknown operation"}}, b'{"id": 1}'),
)
