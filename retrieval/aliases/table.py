"""One tenant's aliases: its own entries over the shared ones, and the entries that are not matched word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from retrieval.aliases.compiled import AliasMatch, CompiledAliases, Slots, compared, phrase_of, slots_of
from retrieval.analysis.folding import fold
from retrieval.analysis.pipeline import analyse
from schemas.records.aliases import AliasKind, AliasRecord


@dataclass(frozen=True, slots=True)
class TenantAliases:
    """What a tenant's queries are rewritten by, and what its products go with.

    `redirects` are SKUs by a query's words, `units` spellings by folded text, `complements` the entries of that kind.
    `overridden` names the shared entries that the tenant has its own version of, or has switched off.
    """

    own: CompiledAliases
    shared: CompiledAliases
    overridden: frozenset[str]
    redirects: Mapping[tuple[str, ...], tuple[str, ...]]
    units: Mapping[str, str]
    complements: tuple[AliasRecord, ...] = ()

    @classmethod
    def of(
        cls,
        *,
        own: Sequence[AliasRecord],
        shared: Sequence[AliasRecord],
        compiled_shared: CompiledAliases,
        overridden: frozenset[str],
    ) -> Self:
        """Put approved entries together; what is the tenant's own wins."""
        effective = [*(record for record in shared if record.id not in overridden), *own]
        return cls(
            CompiledAliases(own),
            compiled_shared,
            overridden,
            _redirects(effective),
            {fold(term): fold(r.targets[0]) for r in effective if r.kind is AliasKind.UNIT for term in r.terms},
            tuple(record for record in effective if record.kind is AliasKind.COMPLEMENT),
        )

    def matches(self, slots: Slots) -> list[AliasMatch]:
        """Expressions that are known, the longest at each place; the tenant's own where both tables know one as long."""
        found = sorted(
            [*self.own.matches(slots), *self._shared_matches(slots)], key=lambda m: (m.start - m.end, m.start)
        )
        kept: dict[tuple[int, int], AliasMatch] = {}
        taken = [False] * len(slots)
        for match in found:
            span = (match.start, match.end)
            if span in kept:
                kept[span] = AliasMatch(*span, kept[span].rewritings + match.rewritings)
            elif not any(taken[match.start : match.end]):
                kept[span] = match
                taken[match.start : match.end] = [True] * (match.end - match.start)
        return sorted(kept.values(), key=lambda match: match.start)

    def knows(self, word: str) -> bool:
        """Whether a word, as the analysis leaves it, occurs in an expression that the tables rewrite."""
        return self.own.knows(word) or self.shared.knows(word)

    def redirected(self, slots: Slots) -> tuple[str, ...]:
        """The SKUs that this whole query is redirected to."""
        if not self.redirects:
            return ()
        return next((skus for words, skus in self.redirects.items() if _same(words, slots)), ())

    def spelled_units(self, text: str) -> str:
        """The text, folded, with the tenant's unit spellings after numbers replaced; as it is where there are none."""
        if not self.units:
            return text
        pattern = _after_numbers(tuple(self.units))
        spelled, replaced = pattern.subn(lambda match: match[1] + self.units[match[2]], fold(text))
        return spelled if replaced else text

    def _shared_matches(self, slots: Slots) -> list[AliasMatch]:
        found = self.shared.matches(slots)
        if not self.overridden:
            return found
        kept = (
            AliasMatch(m.start, m.end, tuple(one for one in m.rewritings if one.entry not in self.overridden))
            for m in found
        )
        return [match for match in kept if match.rewritings]


@lru_cache(maxsize=256)
def _after_numbers(spellings: tuple[str, ...]) -> re.Pattern[str]:
    """One of these spellings behind a digit, the longest that fits; compiled once for each table."""
    known = "|".join(re.escape(spelling) for spelling in sorted(spellings, key=len, reverse=True))
    return re.compile(rf"(?<=\d)(\s*)({known})(?!\w)")


def _redirects(records: Iterable[AliasRecord]) -> Mapping[tuple[str, ...], tuple[str, ...]]:
    return {
        phrase_of(term).words: record.targets
        for record in records
        if record.kind is AliasKind.REDIRECT
        for term in record.terms
    }


def _same(words: tuple[str, ...], slots: Slots) -> bool:
    return len(words) == len(slots) and all(word in slot for word, slot in zip(words, slots, strict=True))


def compared_slots(text: str) -> list[frozenset[str]]:
    """The positions of a text as the tables compare them."""
    return [compared(slot) for slot in slots_of(analyse(text).tokens)]
