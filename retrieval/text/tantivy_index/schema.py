"""The Tantivy schema and how a search document becomes a Tantivy document.

Which documents a search may find is decided here and nowhere else: only a living document has its tenant under
`living`, and every search requires that term. A tombstone keeps its key, revision and stored bytes and nothing more.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Final, NamedTuple

import tantivy

from retrieval.filters import fold_keyword
from retrieval.text.apart.ledger import Ledger
from retrieval.text.apart.reduced import Mark
from retrieval.text.apart.values import Flaw
from retrieval.text.content import DocumentWords, Part, TextField, content_of_words, words_of
from retrieval.text.port import Checkpoint
from runtime.bounded_cache import remembered, weight_of
from schemas.catalogue import FIELDS, FILTERED, Filter
from schemas.documents import SearchDocument
from schemas.version import canonical_digest

_LAYOUT: Final = "2"
"""Raise it with every change of this module's fields, or of what they hold."""
_TABLE: Final = "0b48064ae66c005c"
"""Digest of the table of catalogue fields that this layout began with; another table is another schema by itself."""
_DIGEST: Final = canonical_digest(
    [[one.key, one.kind, one.role, one.filter, one.sort] for one in FIELDS if one.role or one.filter]
)
SCHEMA_VERSION: Final = _LAYOUT if _DIGEST == _TABLE else f"{_LAYOUT}+{_DIGEST}"

_REMEMBERED_BYTES: Final = 48 * 1024 * 1024
"""Of analyses: some 8,000 titles with their descriptions' beginnings, or 150 texts of 20,000 characters."""
_TOKEN_BYTES: Final = 80
"""A token in the library's own memory, without its letters."""
"""Analysed texts that the writer's process keeps, some 3 KB each: a product that changed lately changes again soon."""

VOCABULARY_SEPARATOR: Final = "\x1f"
"""Between tenant and word; no tenant's name holds a control character."""


class Field(StrEnum):
    """The fields beside the analysed ones (`TextField`) and those that the table filters by, under their keys."""

    KEY = "key"
    """`tenant/sku`, exact: what a document is replaced by; stored beside the document, to be read without parsing it."""
    KEY_HASH = "key_hash"
    """64 bits of the key as a fast field: maps a match back to one of the keys asked for without its stored bytes."""
    REV = "rev"
    LIVING = "living"
    """The tenant, of living documents."""
    BURIED = "buried"
    """The tenant, of tombstones."""
    FLAGS = "flags"
    LOOKUP = "lookup"
    """SKU, part number and EANs as folded codes."""
    VOCABULARY = "vocabulary"
    """`tenant<US>word` for the words of title, brand and category: a tenant's dictionary is a prefix of this field's."""
    DOCUMENT = "document"
    """The stored record value, or the checkpoint's JSON."""


class Flag(StrEnum):
    """Terms of `Field.FLAGS`, beside the keys of the table's flags."""

    ALIVE = "alive"
    DEAD = "dead"
    TEXT_VECTOR = "text_vector"
    IMAGE = "image"
    CHECKPOINT = "checkpoint"
    LEDGER = "ledger"
    PARTLY_INDEXED = Flaw.PARTLY_INDEXED.value
    NOT_INDEXED = Flaw.NOT_INDEXED.value
    TRY_AGAIN = "try_again"
    """Set apart, and all of its document is stored."""


def build_schema() -> tantivy.Schema:
    """The schema of a new index. Analysed fields arrive tokenised, so that no tokenizer has to be registered."""
    builder = tantivy.SchemaBuilder()
    builder.add_text_field(Field.KEY, stored=True, tokenizer_name="raw", index_option="basic")
    exact = (
        Field.LIVING,
        Field.BURIED,
        Field.FLAGS,
        *(keyword.key for keyword in FILTERED[Filter.ANY_OF]),
        Field.LOOKUP,
        Field.VOCABULARY,
    )
    for field in exact:
        builder.add_text_field(field, tokenizer_name="raw", index_option="basic")
    for text_field in TextField:
        option = "position" if text_field is TextField.TITLE else "freq"
        builder.add_text_field(text_field, tokenizer_name="raw", index_option=option)
    builder.add_unsigned_field(Field.KEY_HASH, fast=True)
    builder.add_unsigned_field(Field.REV, fast=True)
    for number in FILTERED[Filter.RANGE]:
        builder.add_float_field(number.key, indexed=True, fast=number.sort)
    builder.add_bytes_field(Field.DOCUMENT, stored=True)
    return builder.build()


def key_hash(key: str) -> int:
    """64 bits of BLAKE2b over the key."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest())


def to_tantivy(
    document: SearchDocument, without: frozenset[Part] = frozenset(), mark: Mark | None = None
) -> tantivy.Document:
    """The document as Tantivy takes it, living or tombstone; without some parts, and marked, where it is set apart."""
    key = str(document.key)
    stored = document.to_bytes()
    # All that can fail comes before the entry: it is in no frame of a traceback.
    analysed = None if document.deleted else _analyse(words_of(document), without)
    keywords = {} if document.deleted or Part.FILTERS in without else _keywords(document)
    entry = tantivy.Document()
    entry.add_text(Field.KEY, key)
    entry.add_unsigned(Field.KEY_HASH, key_hash(key))
    entry.add_unsigned(Field.REV, document.rev)
    entry.add_bytes(Field.DOCUMENT, stored)
    for flaw in () if mark is None else _marks(mark):
        entry.add_text(Field.FLAGS, flaw)
    if analysed is None:
        entry.add_text(Field.BURIED, document.tenant)
        entry.add_text(Field.FLAGS, Flag.DEAD)
        return entry
    entry.add_text(Field.LIVING, document.tenant)
    for flag in _flags(document):
        entry.add_text(Field.FLAGS, flag)
    for name, value in keywords.items():
        entry.add_text(name, value)
    for number in FILTERED[Filter.RANGE]:
        held = getattr(document, number.key)
        if held is not None:
            entry.add_float(number.key, held)
    for code in analysed.codes:
        entry.add_text(Field.LOOKUP, code)
    for word in analysed.words:
        entry.add_text(Field.VOCABULARY, f"{document.tenant}{VOCABULARY_SEPARATOR}{word}")
    for field, tokens in analysed.fields:
        entry.add_pre_tokenized_text(field, tokens)
    return entry


def _keywords(document: SearchDocument) -> dict[str, str]:
    return {keyword.key: fold_keyword(getattr(document, keyword.key)) for keyword in FILTERED[Filter.ANY_OF]}


class _Analysed(NamedTuple):
    """A text's analysis as Tantivy takes it: the tokens lie in the library's own strings, compact and used again."""

    codes: frozenset[str]
    words: frozenset[str]
    fields: tuple[tuple[TextField, tantivy.PreTokenizedString], ...]

    bytes: int
    """What it takes, which the library's strings do not tell."""


# Analysis is half of what a document costs the replica, and what changes most often, price and stock, is no part of it.
@remembered("text_analyses", max_bytes=_REMEMBERED_BYTES, weigh=lambda asked, held: held.bytes + weight_of(asked))
def _analysed(words: DocumentWords) -> _Analysed:
    return _without(words, frozenset())


def _analyse(words: DocumentWords, without: frozenset[Part]) -> _Analysed:
    return _without(words, without) if without else _analysed(words)


def _without(words: DocumentWords, without: frozenset[Part]) -> _Analysed:
    content = content_of_words(words, without)
    letters = sum(len(token.text) + _TOKEN_BYTES for tokens in content.tokens.values() for token in tokens)
    return _Analysed(
        content.codes,
        content.words,
        tuple(
            (
                field,
                tantivy.PreTokenizedString("", [tantivy.Token(token.text, token.position, 0, 0) for token in tokens]),
            )
            for field, tokens in content.tokens.items()
        ),
        letters + weight_of((content.codes, content.words)),
    )


def _marks(mark: Mark) -> tuple[Flag, ...]:
    flaw = Flag.PARTLY_INDEXED if mark.flaw is Flaw.PARTLY_INDEXED else Flag.NOT_INDEXED
    return (flaw, Flag.TRY_AGAIN) if mark.stored else (flaw,)


def _flags(document: SearchDocument) -> list[str]:
    held: dict[str, bool] = {
        Flag.ALIVE: True,
        Flag.TEXT_VECTOR: bool(document.text_hash),
        Flag.IMAGE: bool(document.images),
        **{flag.key: getattr(document, flag.key) for flag in FILTERED[Filter.FLAG]},
    }
    return [flag for flag, holds in held.items() if holds]


def checkpoint_to_tantivy(checkpoint: Checkpoint) -> tantivy.Document:
    """The checkpoint as a document of its own, committed together with the data that it speaks of."""
    offsets = {str(partition): offset for partition, offset in checkpoint.offsets.items()}
    entry = tantivy.Document()
    entry.add_text(Field.FLAGS, Flag.CHECKPOINT)
    entry.add_bytes(Field.DOCUMENT, json.dumps({"log_id": checkpoint.log_id, "offsets": offsets}).encode())
    return entry


def ledger_to_tantivy(ledger: Ledger) -> tantivy.Document:
    """The ledger as a document of its own. An index of the release before has none, and loses nothing by it."""
    entry = tantivy.Document()
    entry.add_text(Field.FLAGS, Flag.LEDGER)
    entry.add_bytes(Field.DOCUMENT, ledger.to_json())
    return entry


def checkpoint_from_bytes(stored: bytes) -> Checkpoint:
    """Read what `checkpoint_to_tantivy` stored."""
    content = json.loads(stored)
    return Checkpoint(content["log_id"], {int(partition): offset for partition, offset in content["offsets"].items()})
