"""`/v1/items/{sku}`: one product as it now is, what is like it and what goes with it; `/v1/tenants`: whose catalogues there are."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from query_api.http.context import PROBLEMS, TENANT_PROBLEMS, ApiContext, Context
from retrieval.filters import CatalogueFilter
from retrieval.search.suggestions import neighbours
from retrieval.text.port import TextIndexReader
from runtime.rights.keys import CallerRights
from schemas.api.items import ComplementItem, ComplementItems, Item, SimilarItem, SimilarItems
from schemas.api.search import Tenant
from schemas.api.status import TenantList
from schemas.documents import SearchDocument
from schemas.errors import InvalidEventError, InvalidRequestError, NotFoundError
from schemas.identity import MAX_SKU_LENGTH, SkuKey, TenantId

_ENCODED_SLASH: Final = b"%2f"


class _AsWritten(APIRoute):
    """A route whose last segment the client wrote as one: a SKU that ends in `/similar`, its slash encoded, is an item's."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As the route matches, save where the path's last slash was encoded and belongs to the SKU."""
        _, _, word = self.path.rpartition("/")
        written = scope.get("raw_path", b"").partition(b"?")[0].lower()
        if not word.startswith("{") and written.endswith(_ENCODED_SLASH + word.encode()):
            return Match.NONE, {}
        return super().matches(scope)


router = APIRouter(tags=["catalogue"], route_class=_AsWritten)


@router.get(
    "/v1/items/{sku:path}/similar", summary="Products like this one", responses=TENANT_PROBLEMS | {404: PROBLEMS[404]}
)
async def get_similar(
    rights: CallerRights,
    sku: Annotated[str, Path(min_length=1, max_length=MAX_SKU_LENGTH)],
    tenant: Annotated[Tenant, Query()],
    context: Context,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> SimilarItems:
    """The living products whose texts mean nearly the same, nearest first; none where the product has no vector yet."""
    rights.check(TenantId(tenant))
    with context.searchers.lease() as searcher:
        reader = searcher.reader
        held = await _living(context, reader, _key(tenant, sku))
        within = CatalogueFilter(TenantId(tenant))
        found = await neighbours(searcher.vectors, held.key, within, limit=limit)
        documents = await context.searchers.off_loop(lambda: reader.fetch([hit.key for hit in found]))
    living = [
        (documents[hit.key], hit.score) for hit in found if hit.key in documents and not documents[hit.key].deleted
    ]
    return SimilarItems(
        items=tuple(SimilarItem(item=Item.of(document), similarity=score) for document, score in living[:limit])
    )


@router.get(
    "/v1/items/{sku:path}/complements",
    summary="Products that go with this one",
    responses=TENANT_PROBLEMS | {404: PROBLEMS[404]},
)
async def get_complements(
    rights: CallerRights,
    sku: Annotated[str, Path(min_length=1, max_length=MAX_SKU_LENGTH)],
    tenant: Annotated[Tenant, Query()],
    context: Context,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> ComplementItems:
    """What is used together with the product, by the rules in the alias table; none where no rule knows what it is."""
    rights.check(TenantId(tenant))
    reader, finder = context.searchers.current.reader, context.worker.complements
    held = await _living(context, reader, _key(tenant, sku))
    within = CatalogueFilter(TenantId(tenant))
    found = await context.searchers.off_loop(lambda: finder.find(reader, held, within, limit=limit))
    return ComplementItems(
        items=tuple(
            ComplementItem(
                item=Item.of(one.document),
                reason=one.reason,
                subject=one.companion.subject,
                thing=one.companion.thing,
                rule=one.companion.rule,
                shared=one.shared,
            )
            for one in found
        )
    )


@router.get("/v1/items/{sku:path}", summary="One product", responses=TENANT_PROBLEMS | {404: PROBLEMS[404]})
async def get_item(
    rights: CallerRights,
    sku: Annotated[str, Path(min_length=1, max_length=MAX_SKU_LENGTH, description="The tenant's article number.")],
    tenant: Annotated[Tenant, Query()],
    context: Context,
) -> Item:
    """The product as the text replica holds it now. A SKU may contain slashes; encode them (`%2F`) where it ends in a word of this path."""
    rights.check(TenantId(tenant))
    return Item.of(await _living(context, context.searchers.current.reader, _key(tenant, sku)))


@router.get("/v1/tenants", summary="Tenants", responses=TENANT_PROBLEMS)
async def get_tenants(context: Context, rights: CallerRights) -> TenantList:
    """The tenants that have products and that the caller may search."""
    return TenantList(tenants=rights.visible(await context.worker.catalogue.products()))


async def _living(context: ApiContext, reader: TextIndexReader, key: SkuKey) -> SearchDocument:
    """The product as the replica holds it.

    Raises:
        NotFoundError: there is none, or it was deleted.
    """
    document = (await context.searchers.off_loop(lambda: reader.fetch([key]))).get(key)
    if document is None or document.deleted:
        raise NotFoundError
    return document


def _key(tenant: str, sku: str) -> SkuKey:
    try:
        return SkuKey.of(tenant, sku)
    except InvalidEventError as error:
        raise InvalidRequestError(str(error)) from error
