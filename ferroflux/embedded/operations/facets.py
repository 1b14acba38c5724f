"""Who feeds which facet, over HTTP: `/v1/facets`. Documented in docs/how-to/operations.md.

Where the server asks for keys, a request names one tenant and shows its key, as for the other operations.
"""

from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from indexer.sources.desk import Decided, SourceDesk, tenant_of
from runtime.rights.keys import CallerRights, Rights


class _Facet(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = Field(description="Whose facet.")
    facet: str = Field(description="`item`, `price` or `stock`, or one instance such as `stock:branch-2`.")
    note: str = Field("", max_length=500, description="Why, for whoever reads the history.")
    apply: bool = Field(False, description="False only says what would be.")


class HandoverRequest(_Facet):
    """A facet and the source that is to feed it."""

    to: str = Field(description="Name of the source: of the mapping, of a connector, or of canonical events.")


class ResetRequest(_Facet):
    """A facet whose rows are to be freed."""


def facets_router(desk: SourceDesk) -> APIRouter:
    """The routes over one running system."""
    router = APIRouter(tags=["operations"])

    @router.get("/v1/facets", summary="Who feeds which facet, and who did before")
    async def list_facets(rights: CallerRights, tenant: str = "") -> Response:
        _allow(rights, tenant)
        return _json(await desk.listed(tenant))

    @router.post("/v1/facets/handover", summary="Hand a facet over to another source")
    async def hand_over(asked: HandoverRequest, rights: CallerRights) -> Response:
        _allow(rights, asked.tenant)
        return _told(await desk.hand_over(asked.tenant, asked.facet, asked.to, note=asked.note, apply=asked.apply))

    @router.post("/v1/facets/reset", summary="Free a facet's rows: the next change of each wins")
    async def reset(asked: ResetRequest, rights: CallerRights) -> Response:
        _allow(rights, asked.tenant)
        return _told(await desk.reset(asked.tenant, asked.facet, note=asked.note, apply=asked.apply))

    return router


def _allow(rights: Rights, tenant: str) -> None:
    if tenant:
        rights.check(tenant_of(tenant))
    else:
        rights.check_every_tenant()


def _told(decided: Decided) -> Response:
    return _json(decided.to_json())


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
