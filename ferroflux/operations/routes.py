"""The operations over HTTP: what `ferroflux dlq`, `replay`, `gc`, `facet` and `generation` ask of a running `ferroflux up`.

Documented in docs/how-to/operations.md. Where the server asks for keys, a request with a tenant's key names that tenant: nothing
of another one is touched. What concerns every tenant, generations, tombstones and the journal among it, wants a key of the installation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Final

import orjson
import structlog
from fastapi import APIRouter, Query
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from ferroflux.operations.building import CallersModels
from ferroflux.operations.port import (
    FOREVER_US,
    BuildBody,
    HandoverRequest,
    Json,
    JudgedBody,
    Letters,
    OnProgress,
    Operations,
    Replay,
    ResetRequest,
    TombstoneGcRequest,
)
from indexer.deadletters.letter import LetterId
from indexer.deadletters.service import no_such_letter
from indexer.sources.service import tenant_of
from retrieval.generations.view import GenerationRefusedError
from runtime.rights.keys import CallerRights, Rights
from schemas.api.routes import Role
from schemas.errors import ConfigurationError, FerrofluxError, InvalidRequestError
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

_TELL_EVERY_S: Final = 0.5


class ReplayRequest(Replay):
    """Which changes are taken in again."""

    records_per_s: float | None = Field(
        None, ge=1, description="Most records a second, 1 at the least: other operations wait for this one."
    )


def operations_router(operations: Operations, models: CallersModels) -> APIRouter:
    """Every route, over one installation; `models` says what a caller may have built."""
    router = APIRouter(tags=["operations"])
    _add_letters(router, operations)
    _add_log_and_sources(router, operations)
    _add_generations(router, operations, models)
    return router


def _add_letters(router: APIRouter, operations: Operations) -> None:
    @router.get("/v1/dead-letters", summary="List open dead letters")
    async def list_letters(
        rights: CallerRights,
        reason: str = "",
        tenant: str = "",
        since_us: int = 0,
        until_us: int = FOREVER_US,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> Response:
        _check(rights, tenant)
        asked = Letters.model_construct(reason=reason, tenant=tenant, since_us=since_us, until_us=until_us)
        return _json(await operations.letters(asked, limit))

    @router.get("/v1/dead-letters/{letter_id}", summary="Show one dead letter with its original record")
    async def show_letter(letter_id: str, rights: CallerRights) -> Response:
        asked = LetterId.parse(letter_id)
        letter = await operations.letter(asked)
        if not rights.holds(TenantId(letter["tenant"]), Role.OPERATE):
            raise no_such_letter(asked)
        return _json(letter)

    @router.post("/v1/dead-letters/redrive", summary="Send the records of open dead letters again")
    async def redrive(letters: Letters, rights: CallerRights) -> Response:
        _check(rights, letters.tenant)
        return _json(await operations.redrive(letters))

    @router.post("/v1/dead-letters/discard", summary="Mark open dead letters as done with")
    async def discard(letters: Letters, rights: CallerRights) -> Response:
        _check(rights, letters.tenant)
        done = await operations.discard(letters)
        return _json({"settled": done["settled"], "at_ceiling": 0})


def _add_log_and_sources(router: APIRouter, operations: Operations) -> None:
    @router.post("/v1/replays", summary="Take changes in again; progress as a line of JSON every half second")
    async def replay(asked: ReplayRequest, rights: CallerRights) -> Response:
        _check(rights, asked.tenant)
        asked.to_selection()  # refused here, while the answer can still say so with its status
        return _streamed(lambda tell: operations.replay(asked, tell))

    @router.post("/v1/tombstones/gc", summary="Remove tombstones that no replay can reach")
    async def tombstone_gc(asked: TombstoneGcRequest, rights: CallerRights) -> Response:
        _check(rights, asked.tenant)
        return _json(await operations.tombstone_gc(asked))

    @router.post("/v1/collections", summary="The former name of /v1/tombstones/gc", deprecated=True)
    async def former_tombstone_gc(asked: TombstoneGcRequest, rights: CallerRights) -> Response:
        log.warning(
            "a former route was asked; it goes with the next release", former="/v1/collections", now="/v1/tombstones/gc"
        )
        return await tombstone_gc(asked, rights)

    @router.get("/v1/facets", summary="Who feeds which facet, and who did before")
    async def list_facets(rights: CallerRights, tenant: str = "") -> Response:
        _check(rights, tenant)
        return _json(await operations.facets(tenant))

    @router.post("/v1/facets/handover", summary="Hand a facet over to another source")
    async def hand_over(asked: HandoverRequest, rights: CallerRights) -> Response:
        _check(rights, asked.tenant)
        return _json(await operations.hand_over(asked))

    @router.post("/v1/facets/reset", summary="Free a facet's rows: the next change of each wins")
    async def reset(asked: ResetRequest, rights: CallerRights) -> Response:
        _check(rights, asked.tenant)
        return _json(await operations.reset(asked))


def _add_generations(router: APIRouter, operations: Operations, models: CallersModels) -> None:
    @router.get("/v1/generations", summary="Every generation, and which is live")
    async def status(rights: CallerRights) -> Response:
        rights.check_every_tenant()
        return _json(await operations.generations())

    @router.post("/v1/generations/build", summary="Build a generation; progress as a line of JSON every half second")
    async def build(body: BuildBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            models.require(body.model, body.assignments)

        async def built(tell: OnProgress) -> Json:
            await asyncio.to_thread(models.fetch, body.model, body.assignments)
            return await operations.build(body, tell)

        return _streamed(built)

    @router.post("/v1/generations/rollback", summary="Make the generation before the live one again")
    async def rollback(rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            return _json(await operations.roll_back())

    @router.post("/v1/generations/{name}/gate", summary="What speaks against promoting a generation")
    async def gate(name: str, body: JudgedBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            return _json(await operations.objections(name, body))

    @router.post("/v1/generations/{name}/promote", summary="Make a prepared generation the live one")
    async def promote(name: str, body: JudgedBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            return _json(await operations.promote(name, body))

    @router.post("/v1/generations/{name}/drop", summary="Remove a generation that is not live")
    async def drop(name: str, body: JudgedBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            return _json(await operations.drop(name, body))


def _check(rights: Rights, tenant: str) -> None:
    """Whether the caller may ask about this tenant; where none is named, about every one."""
    if tenant:
        rights.check(tenant_of(tenant))
    else:
        rights.check_every_tenant()


@contextmanager
def _refusals() -> Iterator[None]:
    """What is refused is the request's to change: its sentence goes to the caller."""
    try:
        yield
    except (GenerationRefusedError, ConfigurationError) as error:
        raise InvalidRequestError(str(error)) from error


def _streamed(begin: Callable[[OnProgress], Awaitable[Json]]) -> Response:
    return StreamingResponse(_lines(begin), media_type="application/x-ndjson")


async def _lines(begin: Callable[[OnProgress], Awaitable[Json]]) -> AsyncIterator[bytes]:
    """Lines of progress; the last is the answer, or `error` with its sentence. Who goes away ends the work, resumable."""
    newest: list[Json] = []

    def keep(progress: Json) -> None:
        newest[:] = [progress]

    work = asyncio.ensure_future(begin(keep))
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_TELL_EVERY_S)
            if not work.done():
                for progress in newest:
                    yield orjson.dumps(progress) + b"\n"
        try:
            answer = work.result()
        except FerrofluxError as error:
            yield orjson.dumps({"error": str(error), "code": error.code}) + b"\n"
        else:
            yield orjson.dumps(answer) + b"\n"
    finally:
        work.cancel()
        await asyncio.wait({work})


def _json(content: Json) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
