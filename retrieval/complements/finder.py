"""Finding complements: for each companion of a product the best products of the catalogue, taken in turns.

Of several candidates those that share the product's sizes and material come first (a half-inch PVC pipe goes with half-inch PVC elbows),
and what is in stock before what is not. Blocking: run it off the event loop.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from retrieval.aliases.live import LiveAliases
from retrieval.aliases.table import TenantAliases
from retrieval.analysis.pipeline import analyse
from retrieval.analysis.tokens import Token, TokenKind
from retrieval.complements.rules import Companion, ComplementRules
from retrieval.complements.things import MATERIALS
from retrieval.filters import CatalogueFilter
from retrieval.text.port import TextIndexReader
from retrieval.text.query import Alternative, Clause, TextQuery
from schemas.documents import SearchDocument
from schemas.identity import SkuKey, TenantId

_LOOKED_AT: Final = 20
"""Products that are looked at for each companion: some only mention it."""
_SYNONYM_WEIGHT: Final = 0.9


@dataclass(frozen=True, slots=True)
class Complement:
    """A product that goes with another: by which rule, and the sizes and materials that both have."""

    document: SearchDocument
    companion: Companion
    shared: tuple[str, ...]

    @property
    def reason(self) -> str:
        """Why it is here, in the catalogue's language: `va con tubo pvc (12.7mm, pvc)`."""
        both = f" ({', '.join(self.shared)})" if self.shared else ""
        return f"va con {self.companion.subject}{both}"


class ComplementFinder:
    """Complements out of a text replica, by the rules in the live aliases. Thread-safe."""

    def __init__(self, aliases: LiveAliases) -> None:
        self._aliases = aliases
        self._compiled: dict[str, tuple[TenantAliases, ComplementRules]] = {}
        """By owner of the aliases: as many as tenants with entries of their own, and the shared ones."""

    def find(
        self, reader: TextIndexReader, document: SearchDocument, catalogue_filter: CatalogueFilter, *, limit: int
    ) -> list[Complement]:
        """Up to `limit` products that go with this one, the first of each companion before the second of any."""
        rules = self._rules(catalogue_filter.tenant)
        traits = tuple(_traits(document.title))
        by_companion = [
            _products(reader, document.key, companion, traits, rules, catalogue_filter)
            for companion in rules.companions(document)
        ]
        found: dict[SkuKey, Complement] = {}
        for turn in zip_longest(*by_companion):
            for one in turn:
                if one is not None:
                    found.setdefault(one.document.key, one)
        return list(found.values())[:limit]

    def _rules(self, tenant: TenantId) -> ComplementRules:
        """The tenant's rules; compiled again only where its aliases changed."""
        owner, aliases = self._aliases.owner(tenant), self._aliases.of(tenant)
        held = self._compiled.get(owner)
        if held is None or held[0] is not aliases:
            held = self._compiled[owner] = (aliases, ComplementRules(aliases.complements, aliases))
        return held[1]


def _products(
    reader: TextIndexReader,
    asked: SkuKey,
    companion: Companion,
    traits: Sequence[Token],
    rules: ComplementRules,
    catalogue_filter: CatalogueFilter,
) -> list[Complement]:
    """The catalogue's products that are this companion, the best first."""
    hits = reader.search(_query(companion, traits), catalogue_filter=catalogue_filter, limit=_LOOKED_AT)
    documents = reader.fetch([hit.key for hit in hits])
    found = []
    for hit in hits:
        document = documents.get(hit.key)
        if document is None or document.deleted or hit.key == asked or not rules.is_a(document, companion.thing):
            continue
        has = {token.text for token in _traits(document.title)}
        found.append(Complement(document, companion, _shared(traits, has)))
    return sorted(found, key=lambda one: (not one.document.in_stock, -len(one.shared)))


def _shared(traits: Iterable[Token], has: Container[str]) -> tuple[str, ...]:
    """The traits that are there, materials as they are written."""
    return tuple(MATERIALS.get(trait.text, trait.text) for trait in traits if trait.text in has)


def _query(companion: Companion, traits: Iterable[Token]) -> TextQuery:
    """The companion under any of its names, better with the product's sizes and material."""
    names = tuple(
        Alternative(phrase.tokens, 1.0 if number == 0 else _SYNONYM_WEIGHT, whole=True)
        for number, phrase in enumerate(companion.phrases)
    )
    width = len(companion.phrases[0].tokens)
    return TextQuery((Clause(names, width), *(Clause((Alternative((trait,)),), extra=True) for trait in traits)))


def _traits(title: str) -> Iterator[Token]:
    """The sizes and materials that a title names, each once."""
    seen: set[str] = set()
    for token in analyse(title).tokens:
        is_trait = token.kind is TokenKind.MEASURE or token.text in MATERIALS
        if is_trait and token.text not in seen:
            seen.add(token.text)
            yield token
