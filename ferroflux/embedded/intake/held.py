"""`POST /v1/changes/held`: which versions facets hold, for a writer that looks before it writes."""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ferroflux.ingest.held.versions import HELD_PATH, HeldVersions, NotLookedError, Register
from runtime.rights.keys import CallerRights
from schemas.api.limits import MAX_HELD, TENANT_PATTERN
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem
from schemas.errors import InvalidEventError, InvalidRequestError, NotReadyError
from schemas.identity import MAX_SKU_LENGTH, SkuKey
from schemas.product.changes import facet_key

_DESCRIPTION: Final = f"""Ask which version each of up to {MAX_HELD} facets holds, before changes of them are sent.

A facet that holds nothing is left out of the answer; one that was deleted is in it. A change that is journalled and not
yet indexed is not seen. `now_us` is this server's time: a client whose clock stamps versions compares it with its own.
"""


class AskedRegister(BaseModel):
    """One facet of one product."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = Field(pattern=TENANT_PATTERN)
    sku: str = Field(min_length=1, max_length=MAX_SKU_LENGTH)
    facet: str = Field("item", max_length=192, description="`item`, `price`, `stock:branch-2`.")


class HeldRequest(BaseModel):
    """Which facets are looked at."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    registers: Annotated[tuple[AskedRegister, ...], Field(max_length=MAX_HELD)]


class HeldRegister(BaseModel):
    """What a facet holds."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    sku: str
    facet: str
    stamp: tuple[Any, ...] = Field(
        description="The version as the merge keeps it: `[epoch, sequence, digest]`, perhaps a position."
    )
    changed_at_us: int = Field(description="When the source committed it, microseconds since 1970; 0: unknown.")


class FacetSources(BaseModel):
    """Who feeds a facet, and who did before."""

    model_config = ConfigDict(frozen=True)

    tenant: str
    facet: str
    entries: tuple[dict[str, Any], ...] = Field(description="The entries of `GET /v1/facets`, lowest epoch first.")


class HeldAnswer(BaseModel):
    """The facets that hold something."""

    model_config = ConfigDict(frozen=True)

    now_us: int = Field(description="This server's time, microseconds since 1970.")
    held: tuple[HeldRegister, ...]
    sources: tuple[FacetSources, ...] = Field(
        (), description="Of the facets that were asked for, those with declared sources."
    )


def held_router(held: HeldVersions) -> APIRouter:
    """The route over one store, whose looks say the time."""
    router = APIRouter(tags=["changes"])
    problem: dict[str, Any] = {"model": Problem, "content": {PROBLEM_MEDIA_TYPE: {}}}

    @router.post(
        HELD_PATH,
        summary="Ask which versions are held",
        description=_DESCRIPTION,
        response_model=HeldAnswer,
        responses=dict.fromkeys((401, 403, 413, 422, 503), problem),
    )
    async def post_held(asked: HeldRequest, rights: CallerRights) -> Response:
        registers = [_register(one) for one in asked.registers]
        for tenant in dict.fromkeys(key.tenant for key, _ in registers):
            rights.check(tenant)
        try:
            look = await held.look(registers)
        except NotLookedError as error:
            raise NotReadyError(str(error)) from error
        answer = {
            "now_us": look.now_us,
            "held": [
                {
                    "tenant": key.tenant,
                    "sku": key.sku,
                    "facet": facet,
                    "stamp": one.stamp.to_json(),
                    "changed_at_us": one.changed_at_us,
                }
                for (key, facet), one in look.held.items()
            ],
            "sources": [
                {"tenant": tenant, "facet": facet, "entries": [entry.to_json() for entry in history]}
                for (tenant, facet), history in look.histories.items()
            ],
        }
        return Response(orjson.dumps(answer), media_type="application/json")

    return router


def _register(asked: AskedRegister) -> Register:
    try:
        return SkuKey.of(asked.tenant, asked.sku), facet_key(asked.facet)
    except InvalidEventError as error:
        raise InvalidRequestError(f"registers: {error}") from error
