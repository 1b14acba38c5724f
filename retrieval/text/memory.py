"""A text index in memory: the port's reference, small and exact, for tests and for catalogues of a few thousand products.

Scores are BM25 computed from the definition (Robertson and Walker; k1 = 1.2, b = 0.75, the idf that Lucene and Tantivy
use) over all living documents, by the same scoring plan as the Tantivy adapter. Nothing is kept on disk.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from retrieval.analysis.folding import fold_code
from retrieval.analysis.tokens import Token
from retrieval.filters import CatalogueFilter, meets
from retrieval.text.apart.ledger import Ledger, SetApart, newly_apart
from retrieval.text.apart.reduced import Mark, build_each
from retrieval.text.apart.values import NO_NOTES, Flaw, LogNotes
from retrieval.text.content import Analyse, Content, Part, TextField, content_of_words, words_of
from retrieval.text.port import Applied, Checkpoint, TextCounts, TextHit, newest_by_key
from retrieval.text.query import TextQuery
from retrieval.text.scoring import (
    ScoredAlternative,
    ScoredExclusion,
    WeightedTerm,
    exclusions,
    scoring_plan,
)
from retrieval.text.settings import FieldWeights
from runtime.isolation import Isolation
from schemas.documents import SearchDocument
from schemas.identity import SkuKey, TenantId

_K1: Final = 1.2
_B: Final = 0.75
_NOTHING: Final = Content({}, frozenset())


@dataclass(frozen=True, slots=True)
class _Entry:
    document: SearchDocument
    content: Content
    frequencies: Mapping[TextField, Counter[str]]
    mark: Mark | None = None


@dataclass(frozen=True, slots=True)
class _Commit:
    entries: Mapping[SkuKey, _Entry] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None
    ledger: Ledger = field(default_factory=Ledger)

    def living(self) -> list[tuple[SkuKey, _Entry]]:
        return [(key, entry) for key, entry in self.entries.items() if not entry.document.deleted]


class MemoryTextStore:
    """What a writer and its readers share: the last commit."""

    def __init__(self) -> None:
        self.commit = _Commit()


class MemoryTextWriter:
    """Applies documents to a store; each batch becomes visible whole, with its checkpoint."""

    def __init__(
        self, store: MemoryTextStore, *, analyser: Analyse | None = None, isolation: Isolation | None = None
    ) -> None:
        self._store = store
        self._analyser = analyser
        self._isolation = isolation or Isolation("analyse documents")

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the last commit; None for a new store."""
        return self._store.commit.checkpoint

    def set_apart(self) -> SetApart:
        """What is set apart as of the last commit."""
        marks = Counter(entry.mark.flaw for entry in self._store.commit.entries.values() if entry.mark is not None)
        return SetApart(self._store.commit.ledger, marks[Flaw.PARTLY_INDEXED], marks[Flaw.NOT_INDEXED])

    def to_try_again(self, limit: int) -> list[SearchDocument]:
        """Stored documents of products that are held without some part, and may be whole with another analyser."""
        held = self._store.commit.entries.values()
        return [entry.document for entry in held if entry.mark is not None and entry.mark.stored][:limit]

    def apply(
        self,
        documents: Sequence[SearchDocument],
        checkpoint: Checkpoint,
        *,
        removed: Collection[SkuKey] = (),
        notes: LogNotes = NO_NOTES,
    ) -> Applied:
        """Forget what is removed, write documents, checkpoint and ledger; a document older than the held revision is dropped."""
        before = self._store.commit
        forgotten = frozenset(removed)
        entries = {key: entry for key, entry in before.entries.items() if key not in forgotten}
        held = {key: entry.document.rev for key, entry in entries.items()}
        newest = newest_by_key(documents)
        fresh = [document for key, document in newest.items() if document.rev >= held.get(key, 0)]
        built = build_each(
            fresh, notes, self._entry, isolation=self._isolation, size=len(newest), analyser=self._analyser
        )
        written = {}
        for one in built:
            entries[one.document.key] = one.entry
            written[one.document.key] = one.apart
        ledger = before.ledger.after(notes, written=written, removed=forgotten)
        self._store.commit = _Commit(MappingProxyType(entries), checkpoint, ledger)
        return Applied(len(written), len(documents) - len(written), newly_apart(notes, written))

    def close(self) -> None:
        """Nothing is held."""

    def _entry(self, document: SearchDocument, without: frozenset[Part], mark: Mark | None, /) -> _Entry:
        content = (
            _NOTHING if document.deleted else content_of_words(words_of(document), without, analyser=self._analyser)
        )
        counts = {f: Counter(token.text for token in tokens) for f, tokens in content.tokens.items()}
        return _Entry(document, content, counts, mark)


class MemoryTextReader:
    """Reads the commit of a store that it loaded last."""

    def __init__(self, store: MemoryTextStore, weights: FieldWeights | None = None) -> None:
        self._store = store
        self._weights = weights or FieldWeights()
        self._commit = store.commit

    def refresh(self) -> bool:
        """Load the newest commit; whether there was a newer one."""
        newest = self._store.commit
        newer = newest is not self._commit
        self._commit = newest
        return newer

    def checkpoint(self) -> Checkpoint | None:
        """The checkpoint of the loaded commit."""
        return self._commit.checkpoint

    def search(self, query: TextQuery, *, catalogue_filter: CatalogueFilter, limit: int) -> list[TextHit]:
        """The `limit` best living products by BM25, best first; equal scores by key."""
        living = self._commit.living()
        plan, unwanted = scoring_plan(query, self._weights), exclusions(query, self._weights)
        statistics = _Statistics.of(living, set(_terms_of(plan)) | _excluded_terms(unwanted))
        hits: list[TextHit] = []
        for key, entry in living:
            if not meets(entry.document, catalogue_filter) or any(statistics.rules_out(entry, one) for one in unwanted):
                continue
            found = (self._clause(statistics, entry, alternatives) for alternatives in plan)
            if matched := [score for score in found if score is not None]:
                hits.append(TextHit(key, sum(matched)))
        return sorted(hits, key=lambda hit: (-hit.score, hit.key))[: max(limit, 0)]

    def listed(self, catalogue_filter: CatalogueFilter, *, limit: int) -> list[SkuKey]:
        """Living products that meet the filter, by key."""
        living = sorted(key for key, entry in self._commit.living() if meets(entry.document, catalogue_filter))
        return living[: max(limit, 0)]

    def lookup_code(self, code: str, *, catalogue_filter: CatalogueFilter, limit: int) -> list[SkuKey]:
        """Living products whose SKU, EAN or part number is exactly this, in folded form without separators."""
        folded = fold_code(code)
        named = (
            key for key, e in self._commit.living() if folded in e.content.codes and meets(e.document, catalogue_filter)
        )
        return sorted(named)[: max(limit, 0)]

    def matching(self, keys: Collection[SkuKey], catalogue_filter: CatalogueFilter) -> frozenset[SkuKey]:
        """Which of these products are alive here and meet the filter."""
        return frozenset(key for key, document in self.fetch(keys).items() if meets(document, catalogue_filter))

    def excluded(self, keys: Collection[SkuKey], query: TextQuery) -> frozenset[SkuKey]:
        """Which of these products hold something that the query excludes."""
        unwanted = exclusions(query, self._weights)
        entries = [(key, self._commit.entries[key]) for key in keys if key in self._commit.entries]
        statistics = _Statistics.of(entries, _excluded_terms(unwanted))
        return frozenset(key for key, entry in entries if any(statistics.rules_out(entry, one) for one in unwanted))

    def meets_all(self, query: TextQuery, *, catalogue_filter: CatalogueFilter) -> bool:
        """Whether some living product within the filter meets every clause of the query that is not extra."""
        plan = scoring_plan(TextQuery(tuple(one for one in query.clauses if not one.extra)), self._weights)
        living = self._commit.living()
        statistics = _Statistics.of(living, set(_terms_of(plan)))
        return bool(plan) and any(
            all(any(statistics.holds(entry, one) for one in alternatives) for alternatives in plan)
            for _, entry in living
            if meets(entry.document, catalogue_filter)
        )

    def count_with(self, tokens: Sequence[Token], *, catalogue_filter: CatalogueFilter) -> int:
        """How many products have all of these tokens where products are named."""
        named = (TextField.TITLE, TextField.LABELS, TextField.SIZES, TextField.CODES)
        return bool(tokens) * sum(
            all(any(token.text in entry.frequencies[field] for field in named) for token in tokens)
            for _, entry in self._commit.living()
            if meets(entry.document, catalogue_filter)
        )

    def vocabulary(self, tenant: TenantId, prefix: str = "", *, limit: int | None = None) -> list[tuple[str, int]]:
        """Words of the tenant's titles, brands and categories that begin so, with how many documents have them."""
        words = Counter(
            word
            for key, entry in self._commit.living()
            if key.tenant == tenant
            for word in entry.content.words
            if word.startswith(prefix)
        )
        return sorted(words.items(), key=lambda found: (-found[1], found[0]))[:limit]

    def fetch(self, keys: Collection[SkuKey]) -> dict[SkuKey, SearchDocument]:
        """Stored documents of the products that are held, tombstones included."""
        entries = self._commit.entries
        return {key: entries[key].document for key in keys if key in entries}

    def counts(self, tenant: TenantId | None = None) -> TextCounts:
        """Exact counts over one tenant, or over all."""
        documents = [e.document for key, e in self._commit.entries.items() if tenant in (None, key.tenant)]
        living = [document for document in documents if not document.deleted]
        return TextCounts(
            alive=len(living),
            dead=len(documents) - len(living),
            with_text_vector=sum(bool(document.text_hash) for document in living),
            with_image=sum(bool(document.images) for document in living),
        )

    def products(self) -> dict[TenantId, int]:
        """How many living products each tenant has that has any, tenants in order."""
        return dict(sorted(Counter(key.tenant for key, _ in self._commit.living()).items()))

    def revisions(self) -> Iterator[tuple[SkuKey, int]]:
        """Every held product, tombstones included, with its revision."""
        return iter([(key, entry.document.rev) for key, entry in self._commit.entries.items()])

    def _clause(
        self, statistics: _Statistics, entry: _Entry, alternatives: tuple[ScoredAlternative, ...]
    ) -> float | None:
        found = (self._alternative(statistics, entry, alternative) for alternative in alternatives)
        scores = [score for score in found if score is not None]
        return self._best(scores) if scores else None

    def _alternative(self, statistics: _Statistics, entry: _Entry, alternative: ScoredAlternative) -> float | None:
        filled = [
            scores
            for terms in alternative.positions
            if (scores := [score for term in terms if (score := statistics.score(entry, term)) > 0])
        ]
        if not filled or (alternative.whole and len(filled) < len(alternative.positions)):
            return None
        return sum(self._best(scores) + alternative.coverage for scores in filled)

    def _best(self, scores: list[float]) -> float:
        best = max(scores)
        return best + self._weights.tie * (sum(scores) - best)


@dataclass(frozen=True, slots=True)
class _Statistics:
    """What BM25 needs of the collection: its size, each term's document frequency, each field's mean length."""

    size: int
    holding: Mapping[tuple[TextField, str], int]
    mean_length: Mapping[TextField, float]

    @classmethod
    def of(cls, living: list[tuple[SkuKey, _Entry]], terms: set[WeightedTerm]) -> _Statistics:
        entries = [entry for _, entry in living]
        holding = {(t.field, t.text): sum(t.text in e.frequencies[t.field] for e in entries) for t in terms}
        lengths = {f: sum(e.frequencies[f].total() for e in entries) / max(len(entries), 1) for f in TextField}
        return cls(len(entries), holding, lengths)

    def rules_out(self, entry: _Entry, exclusion: ScoredExclusion) -> bool:
        """Whether the document has what is unwanted and does not deny it itself."""
        held = all(any(self.score(entry, term) for term in terms) for terms in exclusion.positions)
        return held and not any(self.score(entry, term) for term in exclusion.unless)

    def holds(self, entry: _Entry, alternative: ScoredAlternative) -> bool:
        """Whether every position of it is somewhere in the document."""
        return all(any(self.score(entry, term) for term in terms) for terms in alternative.positions)

    def score(self, entry: _Entry, term: WeightedTerm) -> float:
        """BM25 of one term in one field, times its weight; 0 where the document does not hold it."""
        frequencies = entry.frequencies[term.field]
        frequency = frequencies[term.text]
        if not frequency:
            return 0.0
        holding = self.holding[term.field, term.text]
        idf = math.log(1 + (self.size - holding + 0.5) / (holding + 0.5))
        norm = _K1 * (1 - _B + _B * frequencies.total() / self.mean_length[term.field])
        return term.weight * idf * frequency * (_K1 + 1) / (frequency + norm)


def _terms_of(plan: Iterable[Iterable[ScoredAlternative]]) -> Iterator[WeightedTerm]:
    for alternatives in plan:
        for alternative in alternatives:
            for terms in alternative.positions:
                yield from terms


def _excluded_terms(unwanted: Iterable[ScoredExclusion]) -> set[WeightedTerm]:
    return {term for one in unwanted for terms in (*one.positions, one.unless) for term in terms}
