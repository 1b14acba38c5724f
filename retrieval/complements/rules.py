"""The complement rules of one tenant, compiled: which things its titles may name, and what each is used together with.

A thing in a rule stands for its synonyms too, so a rule that says `taladro` holds for an `agujereadora` and finds a `mecha` where it says
`broca`. A synonym that stands in several groups, and a one-way alias, is not followed: it may mean something else, and a wrong companion is
worse than none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from retrieval.aliases.compiled import Phrase, PhraseTrie, Rewriting, compared, phrase_of
from retrieval.aliases.table import TenantAliases
from retrieval.complements.things import is_sort_of, things_of
from schemas.documents import SearchDocument
from schemas.records.aliases import AliasKind, AliasRecord


@dataclass(frozen=True, slots=True)
class Companion:
    """What a rule says that a thing is used with: the rule's id, the thing (`subject`), its companion (`thing`), and the spellings of it."""

    rule: str
    subject: str
    thing: str
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True, slots=True)
class _Known:
    """A thing that some rule names, as its subject (with what it is used with) or as a companion (with none)."""

    thing: str
    companions: tuple[Companion, ...] = ()


class ComplementRules:
    """Rules ready to be asked. Immutable once built."""

    def __init__(self, records: Iterable[AliasRecord], aliases: TenantAliases) -> None:
        self._aliases = aliases
        self._things = PhraseTrie[_Known]()
        for record in records:
            if record.kind is AliasKind.COMPLEMENT:
                self._add(record)

    def companions(self, document: SearchDocument) -> tuple[Companion, ...]:
        """What the product is used together with, each once and nothing that it is itself; none where no rule knows it."""
        known = self._named(document)
        found: dict[str, Companion] = {}
        for companion in (companion for one in known for companion in one.companions):
            if not _are(known, companion.thing):
                found.setdefault(companion.thing, companion)
        return tuple(found.values())

    def is_a(self, document: SearchDocument, thing: str) -> bool:
        """Whether the product is this companion, rather than something that mentions it."""
        return _are(self._named(document), thing)

    def _named(self, document: SearchDocument) -> tuple[_Known, ...]:
        """The things that the product is, the most special first."""
        aside = frozenset(phrase_of(document.brand).words) if document.brand else frozenset()
        return things_of(document.title, self._things, aside) or things_of(document.category, self._things)

    def _add(self, record: AliasRecord) -> None:
        companions = {target: self._spellings(target) for target in record.targets}
        for target, phrases in companions.items():
            for phrase in phrases:
                self._things.add(phrase.words, _Known(target))
        for subject in record.terms:
            with_subject = tuple(
                Companion(record.id, subject, target, phrases) for target, phrases in companions.items() if phrases
            )
            for phrase in self._spellings(subject):
                self._things.add(phrase.words, _Known(subject, with_subject))

    def _spellings(self, term: str) -> tuple[Phrase, ...]:
        """The expression and its two-way synonyms, each once."""
        own = phrase_of(term)
        found = {own.words: own} if own.words else {}
        for rewriting in self._synonyms(own):
            for phrase in rewriting.targets:
                if len(self._synonyms(phrase)) == 1:
                    found.setdefault(phrase.words, phrase)
        return tuple(found.values())

    def _synonyms(self, phrase: Phrase) -> list[Rewriting]:
        """The synonym groups that the whole expression stands in."""
        slots = [compared((token,)) for token in phrase.tokens]
        return [
            rewriting
            for match in self._aliases.matches(slots)
            if (match.start, match.end) == (0, len(slots))
            for rewriting in match.rewritings
            if rewriting.kind is AliasKind.SYNONYM
        ]


def _are(known: Iterable[_Known], thing: str) -> bool:
    """Whether some of these is the thing, or a sort of it: `broca para concreto` is a `broca`."""
    words = phrase_of(thing).words
    return any(one.thing == thing or is_sort_of(phrase_of(one.thing).words, words) for one in known)
