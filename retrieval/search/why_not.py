"""Why a product is not in an answer: at which step it fell out. Pure over the trace and the stored document."""

from __future__ import annotations

from dataclasses import dataclass

from retrieval.filters import CatalogueFilter, Condition, filter_value, meets
from retrieval.search.query import SearchResult
from schemas.api.explain import RetrieverName, WhyNotVerdict
from schemas.catalogue import Filter
from schemas.documents import SearchDocument
from schemas.identity import SkuKey


@dataclass(frozen=True, slots=True)
class Absence:
    """What became of a product: the verdict, why, its rank among the fused (from 1), and by retriever."""

    verdict: WhyNotVerdict
    reason: str
    rank: int | None
    ranks: dict[RetrieverName, int]


def explain_absence(
    key: SkuKey,
    document: SearchDocument | None,
    result: SearchResult,
    catalogue_filter: CatalogueFilter,
    *,
    offset: int,
) -> Absence:
    """Follow one product through a search; `document` is what the replica holds of it."""
    trace = result.trace
    assert trace is not None, "every search keeps its trace"
    ranks = {
        outcome.retriever: next((n for n, hit in enumerate(outcome.hits, start=1) if hit.key == key), 0)
        for outcome in trace.outcomes
    }
    ranks = {retriever: rank for retriever, rank in ranks.items() if rank}
    ordered = trace.fused if trace.reranked is None else trace.reranked.order
    kept = [candidate.key for candidate in ordered if candidate.key not in trace.excluded]
    rank = kept.index(key) + 1 if key in kept else None
    shown = next((n for n, hit in enumerate(result.hits, start=offset + 1) if hit.document.key == key), None)
    verdict, reason = _verdict(key, document, result, catalogue_filter, rank=rank, shown=shown)
    return Absence(verdict, reason, shown or rank, ranks)


def _verdict(
    key: SkuKey,
    document: SearchDocument | None,
    result: SearchResult,
    catalogue_filter: CatalogueFilter,
    *,
    rank: int | None,
    shown: int | None,
) -> tuple[WhyNotVerdict, str]:
    if shown is not None:
        return "shown", f"it is hit number {shown}{_moved(key, result)}"
    if document is None:
        return "not_indexed", (
            "this replica holds no such SKU of this tenant: it was never sent, belongs to another tenant, or is still on "
            "its way (/v1/status shows the lag)"
        )
    if document.deleted or not meets(document, catalogue_filter):
        return _ineligible(document, catalogue_filter)
    return _beaten(key, result, rank)


def _ineligible(document: SearchDocument, catalogue_filter: CatalogueFilter) -> tuple[WhyNotVerdict, str]:
    """Why no search with this filter may show it."""
    if document.deleted:
        return "deleted", f"it was deleted (revision {document.rev}); a newer item event brings it back"
    return "filtered", f"it does not meet the filter: {', '.join(_unmet(document, catalogue_filter))}"


def _beaten(key: SkuKey, result: SearchResult, rank: int | None) -> tuple[WhyNotVerdict, str]:
    """Why a search that may show it does not."""
    assert result.trace is not None, "every search keeps its trace"
    if key in result.trace.excluded:
        words = ", ".join(exclusion.word for exclusion in result.trace.plan.exclusions)
        return "excluded", f"the query rules out {words}, which its title, brand or category has"
    if rank is None:
        looked = ", ".join(f"{one.retriever} ({len(one.hits)} products)" for one in result.trace.outcomes)
        return "not_retrieved", f"no retriever found it among its best: {looked or 'none ran'}"
    if rank <= result.total:
        return "on_another_page", f"it is candidate number {rank} of {result.total}{_moved(key, result)}"
    return "gone_meanwhile", "it was found, but changed while the search ran; search again"


def _moved(key: SkuKey, result: SearchResult) -> str:
    """What reranking did to its place, as the end of a sentence."""
    reranked = result.trace.reranked if result.trace else None
    change = reranked.changes.get(key) if reranked else None
    if change is None or change.before == change.after:
        return ""
    return f"; the reranker moved it from place {change.before} to {change.after}"


def _unmet(document: SearchDocument, catalogue_filter: CatalogueFilter) -> list[str]:
    unmet = (one for one in catalogue_filter.conditions if not one.met_by(filter_value(document, one.field)))
    return [_fault(document, one) for one in sorted(unmet, key=lambda one: one.field.filter is Filter.RANGE)]


def _fault(document: SearchDocument, unmet: Condition) -> str:
    name, value = unmet.field.name, getattr(document, unmet.field.key)
    match unmet.field.filter:
        case Filter.ANY_OF:
            return f"{name} is {value or 'empty'}"
        case Filter.RANGE:
            return f"it has no {name}" if value is None else f"its {name} is {value:g}"
        case _:
            return f"it is {unmet.field.facets[-1].replace('_', ' ')}"
