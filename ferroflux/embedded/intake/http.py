"""`POST /v1/changes`: change events over HTTP, answered when they are on disk, or when a search finds them."""

import asyncio
import time
from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ferroflux.embedded.intake.intake import ChangeIntake, Lane
from ferroflux.embedded.intake.parsing import ChangeReader, InvalidChangesError, ParsedChanges
from runtime.http.problems import problem_response
from runtime.rights.keys import CallerRights
from schemas.api.limits import MAX_CHANGES, MAX_CHANGES_BYTES
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem
from schemas.errors import InvalidRequestError
from schemas.identity import TenantId

CHANGES_PATH: Final = "/v1/changes"

_PIECE_BYTES: Final = 64 * 1024
"""Read at a time: smaller pieces, which a slow line or a hostile caller sends, are gathered first."""

_NDJSON: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/x-jsonlines"})
_JSON: Final = "application/json"

_DESCRIPTION: Final = f"""Send change events: one JSON event a line (`Content-Type: application/x-ndjson`), a JSON list of them, or one.

The answer comes when every event is in the journal on disk: from then on no crash loses it. With `wait=indexed` it
comes when searches find the change. Sending the same events again changes nothing. At most {MAX_CHANGES} events and
{MAX_CHANGES_BYTES >> 20} MiB a request; either all of them are taken or none.
"""

_EXAMPLE: Final = (
    '{"tenant":"my-shop","sku":"T-100","facet":"item","version":1,"fields":{"title":"Tornillo hexagonal 1/4 x 1"}}\n'
    '{"tenant":"my-shop","sku":"T-100","facet":"price","version":1,"fields":{"price":12.5,"currency":"MXN"}}\n'
)


class Wait(StrEnum):
    """What the answer waits for."""

    JOURNALLED = "journalled"
    INDEXED = "indexed"


class ChangesAccepted(BaseModel):
    """The answer: everything was taken."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"examples": [{"accepted": 2, "state": "journalled", "took_ms": 7.1}]}
    )

    accepted: int = Field(description="Events taken: all of the request's.")
    state: Wait = Field(description="`journalled`: no crash loses them; `indexed`: searches find them.")
    took_ms: float = Field(description="Milliseconds from the request to this answer.")


def changes_router(intake: ChangeIntake, default_tenant: TenantId) -> APIRouter:
    """The route over one intake."""
    router = APIRouter(tags=["changes"])
    content = {media: {"schema": {"type": "string"}, "example": _EXAMPLE} for media in ("application/x-ndjson", _JSON)}
    problem: dict[str, Any] = {"model": Problem, "content": {PROBLEM_MEDIA_TYPE: {}}}

    @router.post(
        CHANGES_PATH,
        summary="Send changes",
        description=_DESCRIPTION,
        response_model=ChangesAccepted,
        responses=dict.fromkeys((401, 403, 408, 413, 415, 422, 503), problem),
        openapi_extra={"requestBody": {"required": True, "content": content}},
    )
    async def post_changes(
        request: Request,
        rights: CallerRights,
        wait: Annotated[Wait, Query(description="What the answer waits for.")] = Wait.JOURNALLED,
        lane: Annotated[
            Lane, Query(description="`bulk` for a load of many, which then keeps no single change waiting.")
        ] = Lane.LIVE,
    ) -> Response:
        started = time.perf_counter()
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        # A page of another origin can send text/plain without being asked; these types make its browser ask first.
        if media_type != _JSON and media_type not in _NDJSON:
            detail = "send Content-Type: application/x-ndjson (one event a line) or application/json"
            return problem_response(request, status=415, code="unsupported_media_type", detail=detail)
        try:
            parsed = await _read(request, ChangeReader(lines=media_type in _NDJSON, default_tenant=default_tenant))
        except InvalidChangesError as error:
            return problem_response(request, status=422, code="invalid_request", detail=str(error), errors=error.errors)
        for tenant in parsed.tenants:
            rights.check(tenant)
        await intake.take(parsed.changes, until_indexed=wait is Wait.INDEXED, lane=lane)
        answer = ChangesAccepted(
            accepted=len(parsed.changes), state=wait, took_ms=round((time.perf_counter() - started) * 1000, 2)
        )
        return Response(answer.model_dump_json(), media_type=_JSON)

    return router


async def _read(request: Request, reader: ChangeReader) -> ParsedChanges:
    """Parse the body while it comes, off the loop that answers searches: two thousand events are tens of milliseconds.

    Raises:
        InvalidRequestError: the body is refused, once its sender has come to its end: an answer in the middle is lost on
            clients that are still sending.
    """
    piece = bytearray()
    chunks = request.stream()
    try:
        async for chunk in chunks:
            piece += chunk
            if len(piece) >= _PIECE_BYTES:
                whole = bytes(piece)
                piece.clear()
                await asyncio.to_thread(reader.feed, whole)
        return await asyncio.to_thread(reader.end, bytes(piece))
    except InvalidRequestError:
        async for _ in chunks:
            pass
        raise
