"""`ferroflux up` given poison of many kinds over HTTP: each is refused with its reason or taken, and none stops a good product.

One system takes all of them, since what one kind leaves behind must not hurt the next. Good products go before, between and
after; each is found within the usual time, and all of them after a kill and a restart, which reads the poison again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from tests.integration.test_embedded_crash import TENANT, Installation, event

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NDJSON: Final = "application/x-ndjson"
JSON: Final = "application/json"
ANSWERED_WITHIN_S: Final = 10.0
"""Generous: two cores may be shared with other tests. What this test is for takes minutes, or for ever."""


@dataclass(frozen=True)
class Poison:
    """One request of a kind; `sku` names the product that it makes, where it may be taken."""

    body: bytes
    media_type: str = NDJSON
    sku: str = ""
    taken: bool | None = None
    """Whether it must be taken, must be refused, or may be either."""


def item(sku: str, *, taken: bool | None = True, version: int = 1, **fields: Any) -> Poison:
    """An event of the item facet, with surrogates written as escapes."""
    raw = {"tenant": TENANT, "sku": sku, "version": version, "fields": {"title": f"Pieza {sku[:20]}"} | fields}
    return Poison(json.dumps(raw).encode(), sku=sku, taken=taken)


def raw(text: str | bytes, media_type: str = NDJSON) -> Poison:
    """A body as it is, which must be refused."""
    return Poison(text.encode() if isinstance(text, str) else text, media_type, taken=False)


def odd_sku(limit: int = 256) -> str:
    """As long as a SKU may be, with all that a path, a key, a filter or a terminal could trip over."""
    odd = "/../%2e%00?#&=+;:\"'`\\<script>{}[]|~^$*() \N{COMBINING ACUTE ACCENT}\N{RIGHT-TO-LEFT OVERRIDE}\N{OK HAND SIGN}"
    return (odd * 10)[: limit - 1] + "z"


def places(count: int, of_each: int = 2_000) -> Iterator[Poison]:
    """A product with stock in very many places."""
    yield item("PLACES")
    for first in range(0, count, of_each):
        lines = [
            json.dumps(
                {"tenant": TENANT, "sku": "PLACES", "facet": f"stock:{n:06d}", "version": 1, "fields": {"stock": 1}}
            )
            for n in range(first, min(count, first + of_each))
        ]
        yield Poison("\n".join(lines).encode(), sku="PLACES")


SURROGATE = '{"tenant":"taller","sku":"S","version":1,"fields":{"title":"a\\ud800b"}}'
ARABIC = "\N{ARABIC LIGATURE SALLALLAHOU ALAYHE WASALLAM}"  # one character, eighteen after compatibility folding
BESIDE = '"tenant":"taller","version":1,"fields":{"title":"x"}'

KINDS: Final[dict[str, Sequence[Poison]]] = {
    "thousands of digits in a row": [
        item("DIGITS-1", description="ref " + "7" * 5_000),
        item("DIGITS-2", title="9" * 2_000, part_number="1" * 500),
        item("DIGITS-3", description="1/" + "0" * 50_000 + ' 1/0" 0/0 ' + "1." * 5_000, ean=["9" * 64]),
        item("DIGITS-4", description="\N{ARABIC-INDIC DIGIT SEVEN}" * 5_000 + " " + "\N{SUPERSCRIPT TWO}" * 5_000),
        item("DIGITS-5", description="3/4" * 6_000 + " M8x" + "40x" * 6_000),
    ],
    "a title of marks alone": [
        item("MARKS-1", title="\N{COMBINING ACUTE ACCENT}\N{ZERO WIDTH JOINER}\N{ZERO WIDTH SPACE}" * 600),
        item("MARKS-2", title="e" + "\N{COMBINING ACUTE ACCENT}" * 1_999, brand="\N{VARIATION SELECTOR-16}"),
        item("MARKS-3", title="\N{RIGHT-TO-LEFT OVERRIDE}" * 2_000, description="\N{COMBINING TILDE}" * 100_000),
    ],
    "a text of signs": [
        item("SIGNS-1", description="a-" * 10_000),
        item("SIGNS-2", description="a-" * 50_000),
        item("SIGNS-3", description="-" * 50_000 + "/" * 50_000),
        item("SIGNS-4", description=("(" * 25_000) + (".," * 25_000)),
        item("SIGNS-5", title="1 x " * 500, description="a" * 100_000),
        item("SIGNS-6", description="\n" * 100_000, bullets=["-" * 2_000] * 100, taken=None),
    ],
    "letters that grow when they are folded": [
        item("FOLD-1", title=ARABIC * 2_000, description=ARABIC * 100_000),
        item("FOLD-2", title="\N{SQUARE KIROMEETORU}" * 2_000, description="\N{LATIN SMALL LIGATURE FFI}" * 100_000),
    ],
    "numbers beyond numbers": [
        *(
            raw(f'{{"tenant":"taller","sku":"N-{n}","facet":"price","version":1,"fields":{{"price":{price}}}}}')
            for n, price in enumerate(
                ["1e999", "-1", "NaN", "Infinity", '"1e999"', '"1e9999999999"', "1" * 5_000, '"' + "1" * 5_000 + '"']
            )
        ),
        raw(f'{{"tenant":"taller","sku":"N-V","version":{"9" * 5_000},"fields":{{"title":"x"}}}}'),
        raw('{"tenant":"taller","sku":"N-T","version":1,"changed_at":1e300,"fields":{"title":"x"}}'),
        item("N-A", attributes={"a": 1e308, "b": -1e-308, "c": 2**63 - 1, "d": "1e" + "9" * 1_000}),
    ],
    "what is no text": [
        raw(SURROGATE),
        item("NUL", title="uno\x00dos\x1b[31m\x7f", description="\x00" * 1_000 + "\x85\u2028"),
        raw(b'{"tenant":"taller","sku":"\xff\xfe","version":1,"fields":{"title":"\xc3\x28"}}'),
        raw(b"\xff\xfe{\x00}\x00" * 1_000, JSON),
        raw(b"\x1f\x8b\x08\x00" + b"\x00" * 5_000),
    ],
    "stock in very many places": list(places(20_000)),
    "a SKU of every odd character": [
        item(odd_sku()),
        # Some of its characters are no part of a SKU: without them it is still too long.
        raw(json.dumps({"sku": odd_sku(300), "version": 1, "fields": {"title": "x"}})),
    ],
    "nesting without end": [
        raw("[" * 200_000, JSON),
        raw('{"a":' * 50_000, JSON),
        raw('{"sku":"D",' + BESIDE + ',"op":' + "[" * 1_000 + "]" * 1_000 + "}"),
        raw(
            '{"sku":"D","tenant":"taller","version":1,"fields":{"attributes":{"a":'
            + '{"b":' * 900
            + "1"
            + "}" * 902
            + "}"
        ),
    ],
    "garbage": [
        raw(b"ab\n" * 700_000),
        raw(b"[" + b"[]," * 700_000 + b"[]]", JSON),
        raw(b"\n" * 2_000_000),
        raw(b"x" * 2_000_000),
        raw(b"\n".join([b'{"sku":1}'] * 3_000)),
    ],
    "eight megabytes": [
        raw(
            b'{"tenant":"taller","sku":"BIG","version":1,"fields":{"title":"x","description":"'
            + b"x" * 8_000_000
            + b'"}}'
        ),
        raw(b"{" + b'"a":"' + b"x" * 9_000_000 + b'"}'),
        item("BIG-1", description="\N{SNOWMAN}" * 100_000, attributes={f"a{n}": "x" * 2_000 for n in range(270)}),
        item(
            "BIG-2",
            description="\N{SNOWMAN}" * 100_000,
            attributes={f"a{n}": "\N{SNOWMAN}" * 2_000 for n in range(300)},
            taken=False,
        ),
    ],
    "members that there are not": [
        raw('{"sku":"M",' + BESIDE + ',"facet":"warranty"}'),
        raw('{"sku":"M","tenant":"taller","version":1,"fields":{"title":"x","colour":"red"}}'),
        raw('{"sku":"M","tenant":"taller","version":1,"facet":"stock:a","fields":{"stock":1,"reserved":1}}'),
        raw('{"sku":"M","tenant":"../../etc","version":1,"fields":{"title":"x"}}'),
        raw('{"sku":["M"],' + BESIDE + "}"),
    ],
    "members twice": [
        Poison(
            b'{"sku":"TWICE-1","sku":"TWICE-2","version":9,' + BESIDE.encode() + b',"fields":{"title":"Doble"}}',
            sku="TWICE-2",
        ),
        Poison(b"\n".join(item("TWICE-3", title=f"Otra {n}").body for n in range(50)), sku="TWICE-3", taken=True),
        item(
            "TWICE-4",
            attributes={f"\N{LATIN SMALL LETTER E WITH ACUTE}{n}": "\N{OK HAND SIGN}" * 100 for n in range(300)},
        ),
    ],
}


class Shop:
    """A system under test, and the good products that it has to find."""

    def __init__(self, installation: Installation) -> None:
        self._up = installation
        self._words: dict[str, str] = {}

    def add_good(self, count: int = 1) -> None:
        """Send good products; each is found when the answer comes."""
        fresh = {f"BIEN-{len(self._words) + n}": f"buena{_letters(len(self._words) + n)}" for n in range(count)}
        self._words |= fresh
        events = [event(sku, "item", 1, {"title": f"Tornillo {word} galvanizado"}) for sku, word in fresh.items()]
        events += [event(sku, "price", 1, {"price": 2.5}) for sku in fresh]
        began = time.monotonic()
        answer = self._up.post(events, wait="indexed")
        took = time.monotonic() - began
        assert answer.status_code == 200, answer.text
        assert took < ANSWERED_WITHIN_S, f"a good product was searchable after {took:.1f} s"
        for sku in fresh:
            self._find(sku)

    def send(self, poison: Poison) -> None:
        """Send poison: it is answered in time, and refused with a reason where it is refused."""
        began = time.monotonic()
        headers = {"content-type": poison.media_type}
        try:
            answer = self._up.client.post("/v1/changes", content=poison.body, headers=headers)
        except httpx.WriteError:
            assert poison.taken is False, "the connection was cut"
            return
        took = time.monotonic() - began
        shown = f"{poison.body[:120]!r}: {answer.status_code} {answer.text[:300]}"
        assert took < ANSWERED_WITHIN_S, f"answered after {took:.1f} s: {shown}"
        assert answer.status_code in (
            {200} if poison.taken else {200, 413, 422} if poison.taken is None else {413, 422}
        ), shown
        if answer.status_code != 200:
            assert answer.json()["detail"], shown
            assert len(answer.content) < 20_000, "the answer repeats the poison"

    def is_well(self) -> None:
        """Ready or degraded, and quick to say so."""
        began = time.monotonic()
        for path in ("/readyz", "/indexer/readyz"):
            answer = self._up.client.get(path)
            assert answer.status_code == 200, answer.text
        assert time.monotonic() - began < ANSWERED_WITHIN_S

    def finds_everything(self) -> None:
        """Every good product, by a search for its word."""
        for sku in self._words:
            self._find(sku)

    def accounts_for(self, sku: str) -> None:
        """What was taken is there, or set apart where the operator sees it; never silently absent."""
        answer = self._up.client.get(f"/v1/items/{quote(sku, safe='')}", params={"tenant": TENANT})
        if answer.status_code == 200:
            return
        letters = self._up.client.get("/v1/dead-letters", params={"limit": 1_000}).json()["letters"]
        assert any(sku in json.dumps(letter, ensure_ascii=False) for letter in letters), f"{sku[:40]} is nowhere"

    def _find(self, sku: str) -> None:
        began = time.monotonic()
        answer = self._up.client.get("/v1/search", params={"tenant": TENANT, "q": f"tornillo {self._words[sku]}"})
        assert answer.status_code == 200, answer.text
        found = [hit["item"]["sku"] for hit in answer.json()["hits"]]
        assert sku in found, f"{sku} is not among {found}"
        assert time.monotonic() - began < ANSWERED_WITHIN_S


def _letters(number: int) -> str:
    return "".join(chr(ord("a") + int(digit)) for digit in f"{number:04d}")


def test_poison_of_every_kind_stops_no_good_product_before_or_after_a_restart(tmp_path: Path) -> None:
    installation = Installation(tmp_path, encoder="hashing")
    try:
        installation.start()
        shop = Shop(installation)
        shop.add_good(5)
        for poisons in KINDS.values():
            for poison in poisons:
                shop.send(poison)
            shop.add_good()
            shop.is_well()
        shop.finds_everything()
        taken = {poison.sku for poisons in KINDS.values() for poison in poisons if poison.sku and poison.taken}
        for sku in taken:
            shop.accounts_for(sku)

        installation.process.kill()
        installation.start()
        shop.is_well()
        shop.finds_everything()
        shop.add_good(5)
        for sku in taken:
            shop.accounts_for(sku)
    finally:
        installation.client.close()
        installation.process.kill()
