"""What the planner knows of a tenant: its aliases, its spelling dictionary, and which expressions its catalogue uses."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol
from weakref import WeakValueDictionary

from retrieval.aliases.compiled import Phrase
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.table import TenantAliases
from retrieval.filters import CatalogueFilter
from retrieval.spelling.dictionary import Correction, SpellingDictionary
from retrieval.text.port import TextIndexReader
from schemas.identity import TenantId

_REFRESH_S: Final = 20.0
"""A word that is younger is not known to the dictionary; it is found all the same, since typed words are searched too."""


class TenantKnowledge(Protocol):
    """One tenant's language. Blocking: called off the event loop."""

    @property
    def aliases(self) -> TenantAliases:
        """The table that the tenant's queries are rewritten by."""
        ...

    def knows(self, word: str) -> bool:
        """Whether the catalogue or the tables have this folded word."""
        ...

    def correct(self, word: str) -> Correction | None:
        """The best correction of a folded word that is not known."""
        ...

    def split(self, word: str) -> Correction | None:
        """A word as two that the catalogue has."""
        ...

    def products_with(self, phrase: Phrase) -> int:
        """How many products have all words of this expression in title, brand or category."""
        ...


class Knowledge(Protocol):
    """Knowledge by tenant."""

    def of(self, tenant: TenantId) -> TenantKnowledge:
        """What is known of the tenant now; blocking."""
        ...


@dataclass(slots=True)
class _Learned:
    dictionary: SpellingDictionary
    counts: dict[tuple[str, ...], int]
    learned_at: float
    source: object


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Turn:
    """Kept while somebody learns the tenant's words or waits for them."""

    lock: threading.Lock = field(default_factory=threading.Lock)


class ReplicaKnowledge:
    """Knowledge out of the text replica and the live aliases. Thread-safe.

    A tenant's dictionary is read from the replica's term dictionary (about a millisecond for a thousand words), and
    again at most every 20 seconds, only new words being filed.
    """

    def __init__(
        self, reader: TextIndexReader, aliases: LiveAliases, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._aliases = aliases
        self._clock = clock
        self._lock = threading.Lock()
        self._learning: WeakValueDictionary[TenantId, _Turn] = WeakValueDictionary()
        self._learned: dict[TenantId, _Learned] = {}

    def of(self, tenant: TenantId) -> TenantKnowledge:
        """What is known of the tenant now; the first call for a tenant builds its dictionary."""
        aliases = self._aliases.of(tenant)
        with self._lock:
            turn = self._learning.get(tenant)
            if turn is None:
                turn = self._learning[tenant] = _Turn()
        with turn.lock:  # its own: no tenant waits while another's words are read
            learned = self._learned.get(tenant)
            if learned is None or self._clock() - learned.learned_at > _REFRESH_S:
                words = {word: float(count) for word, count in self._reader.vocabulary(tenant)}
                dictionary = learned.dictionary if learned is not None else SpellingDictionary()
                dictionary.add(words)
                learned = _Learned(dictionary, {}, self._clock(), aliases)
                self._learned[tenant] = learned
        return _TenantView(tenant, self._reader, aliases, learned)


class _TenantView:
    def __init__(self, tenant: TenantId, reader: TextIndexReader, aliases: TenantAliases, learned: _Learned) -> None:
        self.aliases = aliases
        self._within = CatalogueFilter(tenant)
        self._reader = reader
        self._learned = learned

    def knows(self, word: str) -> bool:
        return self._learned.dictionary.knows(word)

    def correct(self, word: str) -> Correction | None:
        return self._learned.dictionary.correct(word)

    def split(self, word: str) -> Correction | None:
        return self._learned.dictionary.split(word)

    def products_with(self, phrase: Phrase) -> int:
        counts = self._learned.counts
        count = counts.get(phrase.words)
        if count is None:
            count = counts[phrase.words] = self._reader.count_with(phrase.tokens, within=self._within)
        return count
