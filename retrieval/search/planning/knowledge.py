"""What the planner knows of a tenant: its aliases, its spelling dictionary, and which expressions its catalogue uses."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final, Protocol
from weakref import WeakValueDictionary

from retrieval.aliases.compiled import Phrase
from retrieval.aliases.live import LiveAliases
from retrieval.aliases.table import TenantAliases
from retrieval.filters import CatalogueFilter
from retrieval.spelling import Correction, SpellingDictionary
from retrieval.text.port import TextIndexReader
from runtime.bounded_cache import BoundedCache
from runtime.clock import SYSTEM_CLOCK, Clock
from schemas.identity import TenantId

_DICTIONARY_BYTES: Final = 256 * 1024 * 1024
"""Of all tenants' dictionaries: some 65,000 words. The one that is asked for is always kept, and learned again where others pushed it out."""
_COUNTS_BYTES: Final = 4 * 1024 * 1024

_STALE_FROM: Final = 2
"""Times as many words in a dictionary as in the catalogue."""
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


@dataclass(frozen=True, slots=True)
class _Learned:
    dictionary: SpellingDictionary
    learned_at: float


@dataclass(slots=True, weakref_slot=True, eq=False)
class _Turn:
    """Kept while somebody learns the tenant's words or waits for them."""

    lock: threading.Lock = field(default_factory=threading.Lock)


class ReplicaKnowledge:
    """Knowledge out of the text replica and the live aliases. Thread-safe.

    A tenant's dictionary is read from the replica's term dictionary (about a millisecond for a thousand words), and
    again at most every 20 seconds, only new words being filed. Of a tenant without products nothing is kept.
    """

    def __init__(self, reader: TextIndexReader, aliases: LiveAliases, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._reader = reader
        self._aliases = aliases
        self._clock = clock
        self._lock = threading.Lock()
        self._unseen: list[TenantId] = []
        self._learning: WeakValueDictionary[TenantId, _Turn] = WeakValueDictionary()
        self._learned: BoundedCache[TenantId, _Learned] = BoundedCache(
            "spelling_dictionaries",
            max_bytes=_DICTIONARY_BYTES,
            weigh=lambda _, learned: learned.dictionary.bytes,
            keep_large=True,
        )
        self._counts: BoundedCache[tuple[TenantId, float, tuple[str, ...]], int] = BoundedCache(
            "expression_counts", max_bytes=_COUNTS_BYTES
        )

    def of(self, tenant: TenantId) -> TenantKnowledge:
        """What is known of the tenant now; the first call for a tenant builds its dictionary."""
        aliases = self._aliases.of(tenant)
        with self._lock:
            turn = self._learning.get(tenant)
            if turn is None:
                turn = self._learning[tenant] = _Turn()
        with turn.lock:  # its own: no tenant waits while another's words are read
            learned = self._learned.get(tenant)
            if learned is None or self._clock.monotonic() - learned.learned_at > _REFRESH_S:
                learned = self._learn(tenant, learned)
        return _TenantView(tenant, self._reader, aliases, learned, self._counts)

    def _learn(self, tenant: TenantId, before: _Learned | None) -> _Learned:
        words = {word: float(count) for word, count in self._reader.vocabulary(tenant)}
        # A dictionary forgets no word: one whose words have mostly left the catalogue is begun anew.
        grown = before is not None and len(before.dictionary) <= _STALE_FROM * len(words)
        dictionary = before.dictionary if before is not None and grown else SpellingDictionary()
        dictionary.add(words)
        learned = _Learned(dictionary, self._clock.monotonic())
        if words:
            self._learned.put(tenant, learned)
        else:
            self._learned.discard(tenant)
        self._look_at_another()
        return learned

    def _look_at_another(self) -> None:
        """Forget one tenant of whom nobody asks where it has no products any more; each is looked at in its turn."""
        with self._lock:
            if not self._unseen:
                self._unseen.extend(self._learned.held())
            tenant = self._unseen.pop() if self._unseen else None
        if tenant is not None and not self._reader.vocabulary(tenant, limit=1):
            self._learned.discard(tenant)


class _TenantView:
    def __init__(
        self,
        tenant: TenantId,
        reader: TextIndexReader,
        aliases: TenantAliases,
        learned: _Learned,
        counts: BoundedCache[tuple[TenantId, float, tuple[str, ...]], int],
    ) -> None:
        self.aliases = aliases
        self._within = CatalogueFilter(tenant)
        self._reader = reader
        self._learned = learned
        self._counts = counts

    def knows(self, word: str) -> bool:
        return self._learned.dictionary.knows(word)

    def correct(self, word: str) -> Correction | None:
        return self._learned.dictionary.correct(word)

    def split(self, word: str) -> Correction | None:
        return self._learned.dictionary.split(word)

    def products_with(self, phrase: Phrase) -> int:
        if not len(self._learned.dictionary):
            return 0  # a tenant without words has no products, and its name is kept nowhere
        asked = (self._within.tenant, self._learned.learned_at, phrase.words)
        return self._counts.of(asked, lambda: self._reader.count_with(phrase.tokens, within=self._within))
