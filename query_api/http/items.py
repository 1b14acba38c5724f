"""`/v1/items/{sku}`: one product as it now is; `/v1/tenants`: whose catalogues there are."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request

from query_api.http.context import Context
from query_api.http.openapi import PROBLEMS, TENANT_PROBLEMS
from schemas.api.items import Item
from schemas.api.search import Tenant
from schemas.api.status import TenantList
from schemas.errors import InvalidEventError, InvalidRequestError, NotFoundError
from schemas.identity import MAX_SKU_LENGTH, SkuKey, TenantId

router = APIRouter(tags=["catalogue"])


@router.get("/v1/items/{sku:path}", summary="One product", responses=TENANT_PROBLEMS | {404: PROBLEMS[404]})
async def get_item(
    request: Request,
    sku: Annotated[str, Path(min_length=1, max_length=MAX_SKU_LENGTH, description="The shop's article number.")],
    tenant: Annotated[Tenant, Query()],
    context: Context,
) -> Item:
    """The product as the text replica holds it now. A SKU may contain slashes."""
    context.access.check(request.headers, TenantId(tenant))
    try:
        key = SkuKey.of(tenant, sku)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error
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
