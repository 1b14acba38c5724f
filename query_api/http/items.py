"""`/v1/items/{sku}`: one product as it now is; `/v1/tenants`: whose catalogues there are."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from query_api.http.context import Context
from query_api.http.openapi import PROBLEMS, TENANT_PROBLEMS
from retrieval.filters import CatalogueFilter
from retrieval.search.similar import neighbours
from schemas.api.items import Item, SimilarItem, SimilarItems
from schemas.api.search import Tenant
from schemas.api.status import TenantList
from schemas.errors import InvalidEventError, InvalidRequestError, NotFoundError, NotReadyError
from schemas.identity import MAX_SKU_LENGTH, SkuKey, TenantId

router = APIRouter(tags=["catalogue"])


@router.get(
    "/v1/items/{sku:path}/similar", summary="Products like this one", responses=TENANT_PROBLEMS | {404: PROBLEMS[404]}
)
async def get_similar(
    request: Request,
    sku: Annotated[str, Path(min_length=1, max_length=MAX_SKU_LENGTH)],
    tenant: Annotated[Tenant, Query()],
    context: Context,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> SimilarItems:
    """The living products whose texts mean nearly the same, nearest first; none where the product has no vector yet."""
    context.access.check(request.headers, TenantId(tenant))
    key = _key(tenant, sku)
    reader, vectors = context.worker.reader, context.worker.vectors
    held = (await context.worker.off_loop(lambda: reader.fetch([key]))).get(key)
    if held is None or held.deleted:
        raise NotFoundError
    if vectors is None:
        raise NotReadyError
    found = await neighbours(vectors, key, CatalogueFilter(TenantId(tenant)), limit=limit)
    documents = await context.worker.off_loop(lambda: reader.fetch([hit.key for hit in found]))
    living = [
        (documents[hit.key], hit.score) for hit in found if hit.key in documents and not documents[hit.key].deleted
    ]
    return SimilarItems(
        items=tuple(SimilarItem(item=Item.of(document), similarity=score) for document, score in living[:limit])
    )


@router.get("/v1/items/{sku:path}", summary="One product", responses=TENANT_PROBLEMS | {404: PROBLEMS[404]})
async def get_item(
    request: Request,
    sku: Annotated[str, Path(min_length=1, max_length=MAX_SKU_LENGTH, description="The shop's article number.")],
    tenant: Annotated[Tenant, Query()],
    context: Context,
) -> Item:
    """The product as the text replica holds it now. A SKU may contain slashes."""
    context.access.check(request.headers, TenantId(tenant))
    key = _key(tenant, sku)
    reader = context.worker.reader
    document = (await context.worker.off_loop(lambda: reader.fetch([key]))).get(key)
    if document is None or document.deleted:
        raise NotFoundError
    return Item.of(document)


@router.get("/v1/tenants", summary="Tenants", responses=TENANT_PROBLEMS)
async def get_tenants(request: Request, context: Context) -> TenantList:
    """The tenants that have products and that the caller may search."""
    tenants = await context.worker.off_loop(context.worker.reader.tenants)
    return TenantList(tenants=context.access.visible(request.headers, tenants))


def _key(tenant: str, sku: str) -> SkuKey:
    try:
        return SkuKey.of(tenant, sku)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error
