"""`/v1/analyze`, `/v1/suggest` and `/v1/aliases`: what the search makes of words."""

from typing import Annotated, Final

from fastapi import APIRouter, Query

from query_api.http import explanation as wire
from query_api.http.context import TENANT_PROBLEMS, Context
from retrieval.analysis.folding import bounded_query
from retrieval.analysis.pipeline import analyse_stages
from retrieval.filters import CatalogueFilter
from retrieval.search.suggestions import suggest
from runtime.rights.keys import CallerRights
from schemas.api.explain import AnalysedLexeme, AnalyseRequest, AnalyseResponse, Suggestion, SuggestResponse
from schemas.api.search import Tenant
from schemas.identity import TenantId
from schemas.records.aliases import AliasRecord, AliasStatus

router = APIRouter(tags=["language"], responses=TENANT_PROBLEMS)

_MOST_SUGGESTIONS: Final = 20


@router.post("/v1/analyze", summary="What a search makes of a text")
async def analyze(body: AnalyseRequest, context: Context, rights: CallerRights) -> AnalyseResponse:
    """The text after each stage of the analysis, and the plan of a search for it; nothing is searched."""
    rights.check(TenantId(body.tenant))
    with context.searchers.lease() as searcher:
        plan = await searcher.hybrid.plan(body.text, CatalogueFilter(TenantId(body.tenant)))
    stages = analyse_stages(bounded_query(body.text))
    return AnalyseResponse(
        folded=stages.folded,
        spelled=stages.spelled,
        lexemes=tuple(AnalysedLexeme(kind=one.kind, text=one.text) for one in stages.lexemes),
        tokens=wire.tokens(stages.tokens),
        type=plan.type,
        searched=plan.core,
        quantity=plan.quantity,
        aliases=wire.aliases(plan),
        corrections=wire.corrections(plan),
        unknown=plan.unknown,
        excluded=wire.excluded(plan),
        dense_texts=plan.dense_texts,
    )


@router.get("/v1/suggest", summary="Complete what is being typed")
async def get_suggestions(
    rights: CallerRights,
    tenant: Annotated[Tenant, Query()],
    context: Context,
    q: Annotated[str, Query(max_length=120, description="What was typed so far.")],
    limit: Annotated[int, Query(ge=1, le=_MOST_SUGGESTIONS)] = 8,
) -> SuggestResponse:
    """Completions of the last word out of the tenant's catalogue that occur together with the words before it."""
    rights.check(TenantId(tenant))
    reader = context.searchers.current.reader
    found = await context.searchers.off_loop(lambda: suggest(reader, TenantId(tenant), q, limit=limit))
    return SuggestResponse(suggestions=tuple(Suggestion(text=one.text, products=one.products) for one in found))


@router.get("/v1/aliases", summary="The alias entries of a tenant")
async def get_aliases(
    rights: CallerRights,
    tenant: Annotated[Tenant, Query()],
    context: Context,
    status: Annotated[AliasStatus | None, Query(description="Only entries of this status.")] = None,
) -> list[AliasRecord]:
    """The tenant's own entries and the shared ones, the newest version of each, as this worker uses them now."""
    rights.check(TenantId(tenant))
    records = await context.searchers.off_loop(lambda: context.searchers.aliases.records(tenant))
    return [record for record in records if status in (None, record.status)]
