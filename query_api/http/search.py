"""`/v1/search`: the request as a query, the answer as hits with signals, one canonical log line."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query

from query_api.http.context import TENANT_PROBLEMS, ApiContext, Context
from query_api.http.explanation import explanation
from retrieval.filters import CatalogueFilter
from retrieval.search.query import Hit, SearchQuery, SearchResult
from retrieval.search.ranking.reranking import Reranked
from retrieval.search.why_not import explain_absence
from retrieval.text.port import TextIndexReader
from runtime.http.problems import request_id
from runtime.rights.keys import CallerRights, Rights
from schemas.api.explain import WhyNot
from schemas.api.items import Item
from schemas.api.search import (
    DegradedRetriever,
    HitRerank,
    HitSignal,
    RerankReport,
    SearchFacets,
    SearchHit,
    SearchParameters,
    SearchRequest,
    SearchResponse,
)
from schemas.errors import InvalidEventError, InvalidRequestError
from schemas.identity import SkuKey, TenantId
from schemas.records.generations import MAIN

log = structlog.get_logger(__name__)

_DESCRIPTION = (
    "Finds products by code, words and meaning at once. Every hit names the retrievers that found it, their rank, raw "
    "score and share. Empty text lists what meets the filters. `facets` and `total` count exactly the candidates that "
    "can be paged through, which the retrievers' depth bounds (`truncated` says when)."
)


router = APIRouter(tags=["search"], responses=TENANT_PROBLEMS)


@router.post("/v1/search", summary="Search", description=_DESCRIPTION)
async def search_by_body(body: SearchRequest, context: Context, rights: CallerRights) -> SearchResponse:
    """The request in the body."""
    return await _search(body, context, rights)


@router.get("/v1/search", summary="Search by query string", description=_DESCRIPTION)
async def search_by_parameters(
    parameters: Annotated[SearchParameters, Query()], context: Context, rights: CallerRights
) -> SearchResponse:
    """The request in the query string."""
    return await _search(parameters.to_request(), context, rights)


async def _search(asked: SearchRequest, context: ApiContext, rights: Rights) -> SearchResponse:
    rights.check(TenantId(asked.tenant))
    # The whole answer comes from this one generation, wherever the pointer moves meanwhile.
    with context.searchers.lease(asked.generation) as searcher:
        result = await searcher.hybrid.search(to_query(asked))
        context.metrics.searched(result)
        _log_search(asked, result, generation=searcher.name, with_text=context.http.log_query_text)
        why_not = await _why_not(asked, result, context, searcher.reader) if asked.why_not else None
    return to_response(
        result,
        request_id(rights.request),
        generation=searcher.name,
        fusion=searcher.hybrid.fusion if asked.explain else None,
        why_not=why_not,
    )


async def _why_not(asked: SearchRequest, result: SearchResult, context: ApiContext, reader: TextIndexReader) -> WhyNot:
    try:
        key = SkuKey.of(asked.tenant, asked.why_not)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error
    document = (await context.searchers.off_loop(lambda: reader.fetch([key]))).get(key)
    absence = explain_absence(key, document, result, to_query(asked).catalogue_filter, offset=asked.offset)
    return WhyNot(sku=key.sku, verdict=absence.verdict, reason=absence.reason, rank=absence.rank, ranks=absence.ranks)


def to_query(asked: SearchRequest) -> SearchQuery:
    """The request as the search library takes it: keywords folded, the tenant inside the filter."""
    return SearchQuery(
        text=asked.text,
        catalogue_filter=CatalogueFilter.of(TenantId(asked.tenant), **dict(asked.filters)),
        limit=asked.limit,
        offset=asked.offset,
        facets=asked.facets,
    )


def to_response(
    result: SearchResult,
    identity: str,
    *,
    generation: str = MAIN,
    fusion: str | None = None,
    why_not: WhyNot | None = None,
) -> SearchResponse:
    """The result on the wire; with its explanation where `fusion` names the method that is to be explained."""
    trace = result.trace
    return SearchResponse(
        hits=tuple(_hit(hit) for hit in result.hits),
        total=result.total,
        truncated=result.truncated,
        facets=None
        if result.facets is None
        else SearchFacets.model_validate(dict(result.facets), from_attributes=True),
        degraded=tuple(
            DegradedRetriever(retriever=retriever, reason=reason.value) for retriever, reason in result.degraded.items()
        ),
        reranked=_reranked(trace.reranked) if trace and trace.reranked else None,
        did_you_mean=trace.plan.did_you_mean if trace else None,
        quantity=trace.plan.quantity if trace else None,
        low_confidence=result.low_confidence,
        explanation=explanation(trace, fusion) if trace and fusion else None,
        why_not=why_not,
        timings_ms=dict(result.timings_ms),
        request_id=identity,
        generation=generation,
    )


def _hit(hit: Hit) -> SearchHit:
    signals = tuple(
        HitSignal(retriever=part.retriever, rank=part.rank, raw_score=part.raw_score, share=min(1.0, part.share))
        for part in hit.signals
    )
    moved = hit.rerank
    return SearchHit(
        item=Item.of(hit.document),
        score=hit.score,
        signals=signals,
        rerank=None if moved is None else HitRerank(before=moved.before, after=moved.after, score=moved.score),
    )


def _reranked(reranked: Reranked) -> RerankReport:
    return RerankReport(model=reranked.revision.model, scored=reranked.scored, of=reranked.of, failed=reranked.failed)


def _log_search(asked: SearchRequest, result: SearchResult, *, generation: str, with_text: bool) -> None:
    """The canonical line: what was asked and how it went; no address, no agent, no key, no header."""
    log.info(
        "search answered",
        tenant=asked.tenant,
        generation=generation,
        **({"text": asked.text} if with_text else {}),
        characters=len(asked.text),
        filters=asked.filters.model_dump(exclude_defaults=True),
        limit=asked.limit,
        offset=asked.offset,
        **result.log_fields(),
    )
