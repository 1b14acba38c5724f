"""The planner: reads a query as a person behind the counter would, and says what each retriever is to look for. Pure over what is known of the tenant.

    typed ─ units ─ exclusions ─ quantity ─ spelling ─ analysis ─ aliases ─▶ clauses for BM25, texts for the dense retriever

Every step only adds to what was typed or takes off what names no product; the typed words are always searched too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from retrieval.aliases.compiled import AliasMatch, Phrase, compared, phrase_of, slots_of
from retrieval.aliases.table import compared_slots
from retrieval.analysis.expansion import STOP_WORDS
from retrieval.analysis.folding import bounded_query
from retrieval.analysis.lexer import LexemeKind
from retrieval.analysis.pipeline import placed
from retrieval.analysis.stemming import stem
from retrieval.analysis.tokens import AnalysedText, Token
from retrieval.filters import CatalogueFilter
from retrieval.search.planning.knowledge import Knowledge, TenantKnowledge
from retrieval.search.planning.plan import AppliedAlias, PlanningSettings, QueryPlan
from retrieval.spelling import Correction
from retrieval.text.query import Alternative, Clause, TextQuery, Unwanted, typed_clauses
from retrieval.understanding import DENIALS, Exclusion, Negated, Ordered, classify, read_negation, read_quantity
from schemas.records.aliases import AliasKind

_MOST_COST: Final = 1.25
_MOST_COST_LONG: Final = 1.8
_LONG: Final = 7
"""Of a longer word more letters may be wrong before it becomes another one."""


@dataclass(frozen=True, slots=True)
class Spelled:
    """A text with corrections made, the corrections, and the words that stay unknown."""

    text: str
    corrections: tuple[Correction, ...] = ()
    unknown: tuple[str, ...] = ()


def spell(text: str, known: TenantKnowledge) -> Spelled:
    """Correct the words that the tenant's catalogue and tables do not know; a text without any comes back as it is.

    Abbreviations (with their point, or expanded by the analysis), sizes and codes are left alone.
    """
    spelled, lexemes = placed(text)
    corrections: list[Correction] = []
    unknown: list[str] = []
    pieces: list[str] = []
    end = 0
    for piece in (one.lexeme for one in lexemes):
        if piece.kind is not LexemeKind.WORD or piece.text.endswith(".") or _known(piece.text, known):
            continue
        correction = known.correct(piece.text)
        if correction is None or correction.cost > (_MOST_COST_LONG if len(piece.text) >= _LONG else _MOST_COST):
            unknown.append(piece.text)
            continue
        corrections.append(correction)
        pieces += [spelled[end : piece.start], correction.text]
        end = piece.end
    if not corrections:
        return Spelled(text, (), tuple(unknown))
    return Spelled("".join([*pieces, spelled[end:]]), tuple(corrections), tuple(unknown))


def _known(word: str, known: TenantKnowledge) -> bool:
    return word in STOP_WORDS or known.knows(word) or known.aliases.knows(stem(word))


Slots = Sequence[tuple[Token, ...]]

INTENT_PREFIX = "intents:"
"""Ids of shipped entries that turn a need into products begin so."""


class QueryPlanner:
    """Plans searches with what is known of each tenant. Thread-safe; blocking."""

    def __init__(
        self, knowledge: Knowledge, analyse: Callable[[str], AnalysedText], settings: PlanningSettings | None = None
    ) -> None:
        self._knowledge = knowledge
        self._analyse = analyse
        self._settings = settings or PlanningSettings()

    def plan(self, text: str, catalogue_filter: CatalogueFilter) -> QueryPlan:
        """The plan for a normalised text; an empty one plans a listing, of one that folds to too much the beginning counts."""
        text = bounded_query(text)
        known = self._knowledge.of(catalogue_filter.tenant)
        settings = self._settings
        typed = known.aliases.spelled_units(text)
        negated = self._negated(typed, known) if settings.negation else Negated(typed)
        ordered = read_quantity(negated.text) if settings.quantity else Ordered(negated.text)
        spelled = spell(ordered.text, known) if settings.spelling else Spelled(ordered.text)
        analysed = self._analyse(spelled.text)
        slots = slots_of(analysed.tokens)
        matches = known.aliases.matches([compared(slot) for slot in slots]) if settings.aliases else []
        clauses = [*_clauses(slots, matches, settings), *self._described(negated, ordered, spelled)]
        is_need = any(one.entry.startswith(INTENT_PREFIX) for match in matches for one in match.rewritings)
        return QueryPlan(
            text=text,
            core=spelled.text,
            analysed=analysed,
            catalogue_filter=catalogue_filter,
            type=classify(slots, is_need=is_need),
            text_query=TextQuery(tuple(clauses), tuple(_excluded(negated.exclusions, known))),
            dense_texts=_dense_texts(spelled.text, slots, matches, known, settings) if spelled.text else (),
            redirects=known.aliases.redirected([compared(slot) for slot in slots]),
            quantity=ordered.quantity,
            exclusions=negated.exclusions,
            aliases=tuple(_applied(slots, match) for match in matches),
            corrections=spelled.corrections,
            unknown=spelled.unknown,
        )

    def _negated(self, text: str, known: TenantKnowledge) -> Negated:
        """The exclusions, unless a table knows an expression with the denial in it (`sin cable`, `abrazadera sin fin`)."""
        slots = compared_slots(text)
        for match in known.aliases.matches(slots):
            if any(denial in slot for slot in slots[match.start : match.end] for denial in DENIALS):
                return Negated(text)
        return read_negation(text)

    def _described(self, negated: Negated, ordered: Ordered, spelled: Spelled) -> list[Clause]:
        """What was taken off the query and may stand in a title all the same, as optional words of less weight."""
        clauses: list[Clause] = []
        for exclusion in negated.exclusions:
            denied = (self._analyse(f"{denial} {exclusion.word}").tokens for denial in DENIALS)
            clauses.append(Clause(tuple(Alternative(one, whole=True) for one in denied), width=2, extra=True))
        if ordered.quantity is not None:
            asked = self._analyse(f"{ordered.quantity.count} {ordered.quantity.package}").tokens
            clauses += typed_clauses(asked, self._settings.quantity_weight, extra=True)
        for correction in spelled.corrections:
            clauses += typed_clauses(self._analyse(correction.written).tokens, extra=True)
        return clauses


def _clauses(slots: Slots, matches: Sequence[AliasMatch], settings: PlanningSettings) -> list[Clause]:
    """A clause for each expression that is known, and one for each other position; stop entries give none."""
    clauses: list[Clause] = []
    place = 0
    for match in matches:
        clauses += [Clause((Alternative(slot),)) for slot in slots[place : match.start]]
        place = match.end
        if any(one.kind is AliasKind.STOP for one in match.rewritings):
            continue
        span = slots[match.start : match.end]
        typed = Alternative(tuple(token for slot in span for token in slot))
        rewritten = [
            Alternative(phrase.tokens, settings.alias_weight if ambiguous else settings.synonym_weight, whole=True)
            for phrase, ambiguous in _targets(match)
        ]
        clauses.append(Clause((typed, *rewritten), width=len(span)))
    return [*clauses, *(Clause((Alternative(slot),)) for slot in slots[place:])]


def _targets(match: AliasMatch) -> list[tuple[Phrase, bool]]:
    """What an expression also means, each phrase once, and whether it means something else too."""
    ambiguous = len(match.rewritings) > 1
    found: dict[tuple[str, ...], tuple[Phrase, bool]] = {}
    for rewriting in match.rewritings:
        for phrase in rewriting.targets:
            found.setdefault(phrase.words, (phrase, ambiguous or rewriting.kind is AliasKind.ALIAS))
    return list(found.values())


def _dense_texts(
    text: str, slots: Slots, matches: Sequence[AliasMatch], known: TenantKnowledge, settings: PlanningSettings
) -> tuple[str, ...]:
    """The text, and the text in the catalogue's own words where it uses other ones more than the typed ones."""
    replacements: dict[int, tuple[int, str]] = {}
    for match in matches if settings.dense_rewriting else ():
        tokens = tuple(slot[0] for slot in slots[match.start : match.end])
        typed = known.products_with(Phrase("", tokens))
        counted = [(known.products_with(phrase), -order, phrase) for order, (phrase, _) in enumerate(_targets(match))]
        most, _, best = max(counted, default=(0, 0, None), key=lambda one: one[:2])
        if best is not None and most > typed * settings.dense_rewriting_margin:
            replacements[tokens[0].position] = (tokens[-1].position, best.text)
    if not replacements:
        return (text,)
    return (text, _replaced(text, replacements))


def _replaced(text: str, replacements: dict[int, tuple[int, str]]) -> str:
    """The text with the lexemes of some positions replaced: first position to (last position, expression)."""
    spelled, lexemes = placed(text)
    pieces: list[str] = []
    end, last = 0, -1
    for one in lexemes:
        if one.first in replacements and one.first > last:
            last, expression = replacements[one.first]
            pieces += [spelled[end : one.lexeme.start], expression]
            end = one.lexeme.end
        elif one.first <= last:
            end = one.lexeme.end
    return " ".join("".join([*pieces, spelled[end:]]).split())


def _excluded(exclusions: Sequence[Exclusion], known: TenantKnowledge) -> list[Unwanted]:
    """The tokens of what is ruled out, and of its synonyms; a product that denies the word itself is no such thing."""
    found: list[Unwanted] = []
    for exclusion in exclusions:
        if exclusion.asked:
            continue
        phrase = phrase_of(exclusion.word)
        found.append(Unwanted(phrase.tokens, DENIALS))
        for match in known.aliases.matches([frozenset((word,)) for word in phrase.words]):
            for rewriting in match.rewritings:
                if rewriting.kind is AliasKind.SYNONYM:
                    found += [Unwanted(target.tokens, _denials_beside(target)) for target in rewriting.targets]
    return found


def _denials_beside(target: Phrase) -> tuple[str, ...]:
    """The denials that take the expression back: none where it is one itself (`sin cable`)."""
    return () if set(DENIALS) & set(target.words) else DENIALS


def _applied(slots: Slots, match: AliasMatch) -> AppliedAlias:
    typed = " ".join(slot[0].text for slot in slots[match.start : match.end])
    entries = tuple(rewriting.entry for rewriting in match.rewritings)
    return AppliedAlias(typed, entries, tuple(phrase.text for phrase, _ in _targets(match)))
