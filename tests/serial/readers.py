"""Everything of the product that reads what people and systems write, called beneath the limits that bound it.

Beneath, since above them nothing would show: a limit makes any cost a constant, if only one of minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import orjson

from agent import replies
from agent.conversation.order import Order
from agent.conversation.products import Found, Product
from agent.language.actions import read_action, strip_fillers
from agent.language.detection import language_of
from agent.language.guards import is_assent, is_explicit_confirmation, is_tampering
from agent.language.numbers import read_count
from agent.language.quantities import split_quantity as read_words
from agent.language.reading import clauses, read_message
from agent.language.references import Extreme, bare, read_reference
from agent.resolve.exploring import combine, head_of, is_attribute, without_sizes
from agent.resolve.matching import coverage, slots, terms
from agent.resolve.resolver import ReferenceContext, Resolver, extreme_of
from agent.tools.packs import packing_of, selling_quantity
from agent.turns.planning import is_bypassed, needs_search
from ferroflux.ingest import values
from ferroflux.ingest.columns import ColumnMapping, fold_name
from ferroflux.ingest.convert import RowConverter
from ferroflux.ingest.rows import Row
from indexer.kafka.diversion import is_snapshot_read
from retrieval.aliases.compiled import CompiledAliases
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.shipped import shipped_aliases
from retrieval.aliases.table import compared_slots
from retrieval.analysis.folding import bounded_query, fold, fold_code, normal_form
from retrieval.analysis.lexer import lexemes
from retrieval.analysis.measures import spell_fractions
from retrieval.analysis.pipeline import analyse, placed, surface_words
from retrieval.analysis.stemming import stem
from retrieval.complements.rules import ComplementRules
from retrieval.filters import CatalogueFilter
from retrieval.passages import passage_text
from retrieval.search.hybrid import normalise_query
from retrieval.search.planning.knowledge import ReplicaKnowledge
from retrieval.search.planning.planner import QueryPlanner, spell
from retrieval.search.suggestions import suggest
from retrieval.spelling import SpellingDictionary, sound_key
from retrieval.testing import HashingEncoder, OverlapReranker
from retrieval.text.content import content_of
from retrieval.text.memory import MemoryTextReader, MemoryTextStore, MemoryTextWriter
from retrieval.text.port import Checkpoint
from retrieval.understanding import read_negation, read_quantity
from runtime.observability.redaction import redacted
from schemas.api.limits import MAX_TEXT
from schemas.documents import SearchDocument
from schemas.errors import FerrofluxError, InvalidEventError
from schemas.events.parser import EventParser
from schemas.identity import SkuKey, TenantId, sku_id
from schemas.mapping.columns import comparable, identity_text
from schemas.mapping.spelling import ColumnSpelling
from schemas.normalisers import attribute_value
from schemas.product.changes import facet_key
from schemas.product.fields import normalise_fields
from schemas.records.aliases import SHARED, AliasKind, AliasRecord
from tests.support.clock import ClockOf

TENANT: Final = TenantId("acme")
WITHIN: Final = CatalogueFilter(TENANT)
_HALF_A_QUERY: Final = MAX_TEXT // 2 - 20
"""Twice as many, and the shape's end, are still no more than a query may hold."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A function of a text, and how many characters it is given first; then twice as many.

    `analyses`: most of its time goes into analysing texts, which is measured by itself. `refuses`: by ValueError, as the
    rules of fields do; refusing is an answer too.
    """

    name: str
    function: Callable[[str], object]
    characters: int = 800
    analyses: bool = False
    refuses: bool = False

    def read(self, text: str) -> None:
        """Call it."""
        with contextlib.suppress(FerrofluxError, *((ValueError,) if self.refuses else ())):
            self.function(text)


def _document(**fields: Any) -> SearchDocument:
    return SearchDocument(tenant=TENANT, sku="1", rev=1, state="0" * 16, **fields)


def _knowledge() -> ReplicaKnowledge:
    store = MemoryTextStore()
    titles = (
        "Tubo PVC 1/2 pulgada sin rosca",
        "Taladro percutor inalambrico",
        "Caja de tornillos 5/8",
        "Aguja a b x y m q",
    )
    documents = [
        SearchDocument(tenant=TENANT, sku=str(sku), rev=1, state="0" * 16, title=title)
        for sku, title in enumerate(titles)
    ]
    MemoryTextWriter(store).apply(documents, Checkpoint("log"))
    own = (
        AliasRecord(id="unit", tenant=TENANT, kind=AliasKind.UNIT, terms=("mils", "a", "x-", "1"), targets=("mm",)),
        AliasRecord(id="long", tenant=TENANT, kind=AliasKind.SYNONYM, terms=("a " * 30 + "b", "1 " * 30 + "b", "tubo")),
        AliasRecord(id="short", tenant=TENANT, kind=AliasKind.SYNONYM, terms=("a a", "no la", "caja")),
        AliasRecord(id="redirect", tenant=TENANT, kind=AliasKind.REDIRECT, terms=("a " * 60,), targets=("1",)),
        AliasRecord(
            id="with", tenant=TENANT, kind=AliasKind.COMPLEMENT, terms=("a a", "tubo"), targets=("caja", "1 1")
        ),
    )
    aliases = LiveAliases(shipped_aliases())
    aliases.apply({record.key: record for record in own})
    return ReplicaKnowledge(MemoryTextReader(store), aliases, clock=ClockOf(lambda: 0.0))


_KNOWLEDGE: Final = _knowledge()
_KNOWN: Final = _KNOWLEDGE.of(TENANT)
_READER: Final = _KNOWLEDGE._reader
_PLANNER: Final = QueryPlanner(_KNOWLEDGE, analyse)
_RULES: Final = ComplementRules(_KNOWN.aliases.complements, _KNOWN.aliases)
_SPELLING: Final = SpellingDictionary({"tornillo": 9.0, "taladro": 4.0, "a" * 39: 1.0, "ab" * 19: 1.0})
_EMBEDDED: Final = HashingEncoder(16)
_PRODUCT: Final = Product("1", "Tubo PVC 1/2", attributes={"caja": "12"})
_PARSER: Final = EventParser(default_tenant=TENANT)


class _NothingFound:
    """A catalogue that has nothing."""

    async def find(self, *_: object, **__: object) -> Found:
        return Found((), confident=False)

    async def items(self, *_: object) -> dict[str, Product]:
        return {}


def _resolved(text: str) -> object:
    return asyncio.run(Resolver(_NothingFound(), TENANT, ReferenceContext((), text, ())).resolve(text))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _alias(text: str) -> CompiledAliases:
    """The text as the terms of a table, 120 characters each and 200 in an entry at most, as the schema has it."""
    terms = [f"{text[start : start + 110]} {start}" for start in range(0, len(text), 110)]
    return CompiledAliases(
        AliasRecord.model_construct(id="a", tenant=SHARED, kind=AliasKind.ALIAS, terms=(term,), targets=("tubo", term))
        for term in terms
    )


def _vocabulary(text: str) -> SpellingDictionary:
    """The text as words of a catalogue, among them many that sound alike at their beginnings."""
    words = [text[start : start + 13] for start in range(0, len(text), 13)]
    return SpellingDictionary(
        {f"aaaaaaaa{''.join(filter(str.isalpha, word))}{n % 26:c}": 1.0 for n, word in enumerate(words)}
    )


def _row(text: str) -> object:
    cells = {"sku": "1", "title": text, "description": text, "price": text, "bullets": text, "ean": text, "color": text}
    return RowConverter(ColumnMapping({}), 1, tenant=TENANT).convert(Row(1, cells), 0)


def _sequence(text: str) -> object:
    return RowConverter(ColumnMapping({}), 1, tenant=TENANT).convert(Row(1, {"sku": "1", "title": "t", "lsn": text}), 0)


def _event(text: str) -> object:
    fields = {
        "title": text,
        "description": text,
        "price": text,
        "stock": text,
        "attributes": {"a": text},
        "ean": [text],
    }
    event = {"tenant": TENANT, "sku": text, "facet": "item", "version": {"sequence": 1}, "fields": fields}
    with contextlib.suppress(UnicodeEncodeError):
        return _PARSER.parse(text.encode(), orjson.dumps(event))
    return None


def _sku(text: str) -> object:
    with contextlib.suppress(InvalidEventError):
        return sku_id(text)
    return None


def _planned(text: str) -> object:
    """The steps of planning one by one, beneath the planner's own bound."""
    slots_ = compared_slots(text)
    return _KNOWN.aliases.matches(slots_), _KNOWN.aliases.redirected(slots_), _KNOWN.aliases.spelled_units(text)


def _complements(text: str) -> object:
    return _RULES.companions(_document(title=text)), _RULES.is_a(_document(title="tubo", category=text), "caja")


_ORDER: Final = Order(TENANT, "order-0001", "thread", ())


def _own_words(text: str) -> object:
    """What a model wrote, beneath the length that is read of it."""
    return replies._is_truthful(text, "", _ORDER, ())


READERS: Final = (
    # Text analysis, of documents and queries alike.
    Reader("fold", fold, 3_000),
    Reader("fold_code", fold_code, 3_000),
    Reader("normal form", lambda text: (normal_form("NFC", text), normal_form("NFKC", text)), 3_000),
    Reader("spelled fractions", lambda text: spell_fractions(fold(text))),
    Reader("lexemes", lambda text: list(lexemes(text)), 2_000),
    Reader("analysis", analyse),
    Reader("places", placed, 500, analyses=True),
    Reader("surface words", lambda text: list(surface_words(text)), 500, analyses=True),
    Reader("stem and sound", lambda text: (stem(text), sound_key(text)), 500, analyses=True),
    Reader("content of a title", lambda text: content_of(_document(title=text, brand=text)), 500, analyses=True),
    Reader(
        "content of a body",
        lambda text: content_of(_document(description=text, attributes={text[:9]: text})),
        1_000,
        analyses=True,
    ),
    Reader("content of names", lambda text: content_of(_document(part_number=text, ean=(text,))), 500, analyses=True),
    Reader("passage", lambda text: passage_text(_document(title=text, description=text, brand=text)), 3_000),
    Reader("hashed words", lambda text: _EMBEDDED.encode_queries([text])),
    Reader("shared words", lambda text: OverlapReranker().score(text, [text])),
    # What every record and every line of the log goes through.
    Reader("sku", _sku),
    Reader("redaction", redacted, 2_000),
    # Planning a query: its steps, then the whole within its bound.
    Reader("normalised query", normalise_query),
    Reader("bounded query", bounded_query),
    Reader("exclusions", read_negation),
    Reader("quantity of a query", read_quantity),
    Reader("spelling of a query", lambda text: spell(text, _KNOWN), 500, analyses=True),
    Reader("correction", lambda text: (_SPELLING.correct(text), _SPELLING.split(text))),
    Reader("aliases of a query", _planned, 500, analyses=True),
    Reader("plan", lambda text: _PLANNER.plan(text, WITHIN), _HALF_A_QUERY),
    Reader("suggestions", lambda text: suggest(_READER, TENANT, text, limit=8), _HALF_A_QUERY),
    # What shops write beside products.
    Reader("alias table", _alias, 500, analyses=True),
    Reader("vocabulary", _vocabulary),
    Reader("complements", _complements, 500, analyses=True),
    # A conversation.
    Reader("clauses", lambda text: clauses(fold(text))),
    Reader("message", read_message),
    Reader("action", lambda text: (read_action(text), strip_fillers(text))),
    Reader("reference", lambda text: (read_reference(text), bare(text))),
    Reader("tampering", is_tampering),
    Reader("confirmation", lambda text: (is_explicit_confirmation(text), is_assent(text))),
    Reader("language", language_of),
    Reader("bypass", lambda text: (is_bypassed(text, 1), is_bypassed(text + " a", 1), needs_search(text))),
    Reader("counts", lambda text: (read_count(text.split()), read_words(_words(text), ordering=True))),
    Reader("request", lambda text: coverage(slots(text), terms("tubo pvc", "", "aguja", "1")), 500, analyses=True),
    Reader("product", lambda text: coverage(slots("tubo agujas"), terms(text, text, text, text)), 500, analyses=True),
    Reader(
        "refinement",
        lambda text: (combine(text, "rojo 3/4"), head_of(text), without_sizes(text), is_attribute(text)),
        1_000,
        analyses=True,
    ),
    Reader(
        "scale",
        lambda text: extreme_of([Product("1", text), Product("2", text)], Extreme.LARGEST),
        1_000,
        analyses=True,
    ),
    Reader("resolution", _resolved, 1_200, analyses=True),
    Reader("a model's words", _own_words),
    Reader(
        "packing",
        lambda text: packing_of(Product("1", text, unit=text, attributes={"caja": text, text: "1"})),
        1_000,
        analyses=True,
    ),
    Reader(
        "selling unit",
        lambda text: selling_quantity(Product("1", "t", unit=text), Decimal(1), package=text, lot=text),
        1_000,
        analyses=True,
    ),
    # Catalogue files and change events.
    Reader("row", _row),
    Reader("version of a row", _sequence),
    Reader("column name", fold_name),
    Reader("cells", lambda text: (values.texts(text), values.sentences(text), values.text(text)), refuses=True),
    Reader("number of a cell", values.number, refuses=True),
    Reader("attributes of a cell", values.attributes, refuses=True),
    Reader("fields", lambda text: normalise_fields("item", {"title": text}), refuses=True),
    Reader("price", lambda text: normalise_fields("price", {"price": text}), refuses=True),
    Reader("attribute", attribute_value, refuses=True),
    Reader(
        "identity",
        lambda text: (identity_text(text), comparable(text), SkuKey.of(TENANT, text), facet_key(text)),
        refuses=True,
    ),
    Reader("event", _event),
    Reader("snapshot read", lambda text: is_snapshot_read(text.encode())),
    Reader("column names", lambda text: ColumnSpelling(("codigo", text)).of({text + "x": 1})),
)
