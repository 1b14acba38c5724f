"""How much of a request a product holds, by the same text analysis as search: words by stem, sizes by value, codes whole.

Search ranks; matching judges. A hit whose title holds every word of the request is what was asked for; one that holds
none of them may still be (another language, another name), but nobody should order it unseen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from retrieval.analysis.folding import fold, fold_code
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import TokenKind
from runtime.bounded_cache import remembered

_TALK: Final = frozenset(
    [
        "uno",
        "unos",
        "unas",
        "one",
        "ones",
        "algo",
        "algun",
        "alguno",
        "alguna",
        "tipo",
        "marca",
        "brand",
        "color",
        "medida",
        "size",
        "tamano",
        "que",
        "no",
        "si",
        "mas",
        "me",
        "te",
        "se",
        "le",
        "lo",
        "su",
        "mi",
        "tienes",
        "tenes",
        "hay",
        "quiero",
        "some",
        "any",
        "ese",
        "esa",
        "esos",
        "esas",
        "este",
        "esta",
        "that",
        "this",
        "those",
        "these",
        "solo",
        "tambien",
        "also",
        "please",
        "favor",
        "modelo",
        "tienen",
        "dos",
        "it",
        "is",
        "are",
        "do",
        "you",
        "have",
        "x",
        "s",
        "c",
        "p",
        "cual",
        "which",
        "como",
        "o",
        "os",
        "as",
        "um",
        "uma",
        "do",
        "da",
        "dos",
        "das",
        "medidas",
        "num",
        "nro",
        "ahi",
        "aqui",
        "alla",
        "ver",
    ]
)
_MOST_SLOTS: Final = 100
"""Words of a request that are compared with products; each may be compared with all of theirs."""
_LONGEST_EXTRA: Final = 10_000
"""Characters of a product's category and attributes that are looked at."""
_TYPO_LENGTH: Final = 5
_NUMBER_ONLY: Final = 0.8
"""A number that agrees where the request named a size and the title has the bare number: probably the same size."""
_OTHER_SIZE: Final = 0.3
"""The same number in another unit: probably not."""
_TYPO: Final = 0.85


@dataclass(frozen=True, slots=True)
class Slot:
    """One word of a request, as the alternatives that analysis gives it."""

    terms: frozenset[str]
    sizes: frozenset[str]
    word: str

    @property
    def is_size(self) -> bool:
        """Whether it is a number or a size rather than a word."""
        return bool(self.sizes) or not any(character.isalpha() for character in self.word)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a product holds: all terms of title, brand and attributes, its sizes, and the stem that names it."""

    all: frozenset[str]
    sizes: frozenset[str]
    head: str
    denied: frozenset[str]
    """Terms that the title says the product is without: `s/mango`."""


_SLOT_BYTES: Final = 8 * 1024 * 1024
"""Of requests that were read: some 3,000 of a few words."""
_TERM_BYTES: Final = 64 * 1024 * 1024
"""Of products that were compared: some 15,000."""


@remembered("request_slots", max_bytes=_SLOT_BYTES)
def slots(text: str) -> tuple[Slot, ...]:
    """The words of a request that a product can hold; articles and talk are left out."""
    by_position: dict[int, list[tuple[str, TokenKind]]] = {}
    for token in analyse(text).tokens:
        by_position.setdefault(token.position, []).append((token.text, token.kind))
    found: list[Slot] = []
    for alternatives in by_position.values():
        if len(found) == _MOST_SLOTS:
            break
        word = alternatives[0][0]
        if word in _TALK_STEMS and len(alternatives) == 1:
            continue
        found.append(
            Slot(
                frozenset(text for text, _ in alternatives),
                frozenset(text for text, kind in alternatives if kind is TokenKind.MEASURE),
                word,
            )
        )
    return tuple(found)


@remembered("product_terms", max_bytes=_TERM_BYTES)
def terms(title: str, brand: str = "", extra: str = "", sku: str = "") -> Terms:
    """What a product holds."""
    titled = analyse(title).tokens
    other = analyse(f"{brand} {extra[:_LONGEST_EXTRA]}").tokens
    head = next((token.text for token in titled if token.kind is TokenKind.WORD and len(token.text) > 1), "")
    lacking = {token.position for token in titled if token.text in _LACKING}
    return Terms(
        frozenset(token.text for token in (*titled, *other)) | {fold_code(sku)},
        frozenset(token.text for token in (*titled, *other) if token.kind is TokenKind.MEASURE),
        head,
        frozenset(token.text for token in titled if token.position - 1 in lacking),
    )


_LACKING: Final = frozenset({"sin", "without"})


def held(slot: Slot, product: Terms) -> float:
    """How surely a product holds one word of the request, 0 to 1."""
    if slot.sizes:
        if slot.sizes & product.sizes:
            return 1.0
        if slot.terms & product.all:
            return _OTHER_SIZE if _has_size_of_number(slot, product) else _NUMBER_ONLY
        return 0.0
    if slot.terms & product.all:
        return 1.0
    if len(slot.word) >= _TYPO_LENGTH and slot.word.isalpha():
        return _TYPO if any(_one_edit(slot.word, term) for term in product.all) else 0.0
    return 0.0


def coverage(request: tuple[Slot, ...], product: Terms) -> float:
    """The share of the request's words that the product holds, 0 to 1; 0 for a request without words.

    A size weighs as much as a word, for `codo de 3/4` and `codo de 1/2` are two things.
    """
    if not request:
        return 0.0
    lacks = any(slot.terms & _LACKING for slot in request)
    return sum(held(slot, product) for slot in request if lacks or not slot.terms & product.denied) / len(request)


def names(request: tuple[Slot, ...], product: Terms) -> bool:
    """Whether a word of the request is what the product is: the word with which its title begins."""
    return any(product.head in slot.terms for slot in request if product.head)


def words_of(request: Iterable[Slot]) -> str:
    """The request's words as a search text."""
    return " ".join(slot.word for slot in request)


def _has_size_of_number(slot: Slot, product: Terms) -> bool:
    """Whether the product has the slot's number as a size of its own, in a unit of the same kind of spelling."""
    number = next((term for term in slot.terms if term not in slot.sizes), "")
    bases = {size.lstrip("0123456789./-x") for size in slot.sizes}
    return bool(number) and any(
        size.lstrip("0123456789./-x") in bases and not size.startswith(number) for size in product.sizes
    )


def _one_edit(left: str, right: str) -> bool:
    """Whether two words differ by one letter that was changed, left out, put in, or swapped with its neighbour."""
    if abs(len(left) - len(right)) > 1 or left[0] != right[0]:
        return False
    if len(left) > len(right):
        left, right = right, left
    at = next((place for place, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), len(left))
    if len(left) < len(right):
        return left[at:] == right[at + 1 :]
    return left[at + 1 :] == right[at + 1 :] or (
        left[at : at + 2] == right[at : at + 2][::-1] and left[at + 2 :] == right[at + 2 :]
    )


_TALK_STEMS: Final = _TALK | {token.text for word in _TALK for token in analyse(fold(word)).tokens}
