"""The operator's levers over HTTP: `/v1/dead-letters`, `/v1/replays`, `/v1/collections`. Documented in docs/how-to/operations.md.

Where the server asks for keys, a request with a tenant's key names that tenant: nothing of another one is touched. What concerns
every tenant, tombstones and the journal among it, wants a key of the installation.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from ferroflux.embedded.operations.operations import EmbeddedOperations
from indexer.deadletters.desk import DEFAULT_CEILING, LetterFilter, no_such_letter
from indexer.deadletters.letter import LetterId
from indexer.replay.replayer import Replayed
from indexer.replay.selection import Selection
from runtime.rights.keys import CallerRights, Rights
from schemas.api.routes import Role
from schemas.errors import FerrofluxError
from schemas.identity import TenantId, tenant_id

_TELL_EVERY_S: Final = 0.5
_DAY_S: Final = 86_400


class Letters(BaseModel):
    """Which dead letters are meant; everything that is given must hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: str = Field("", description="Only of this reason's code.")
    tenant: str = Field("", description="Only of this tenant.")
    since_us: int = Field(0, ge=0, description="Written at this time or later, microseconds since 1970.")
    until_us: int = Field(2**63, ge=0, description="Written before this time, microseconds since 1970.")
    ids: tuple[str, ...] = Field((), description="Only these, as `partition-offset`.")
    max_attempts: int = Field(DEFAULT_CEILING, ge=1, description="For a redrive: leave alone what was tried so often.")

    def to_filter(self) -> LetterFilter:
        """The filter of the desk."""
        ids = frozenset(map(LetterId.parse, self.ids))
        return LetterFilter(self.reason, self.tenant, self.since_us, self.until_us, ids)


class ReplayRequest(BaseModel):
    """Which changes are taken in again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since_ms: int = Field(0, ge=0, description="Logged at this time or later, milliseconds since 1970.")
    until_ms: int = Field(0, ge=0, description="Logged before this time; 0: to the end.")
    offsets: tuple[str, ...] = ()
    partitions: tuple[int, ...] = ()
    tenant: str = ""
    skus: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    asked: str = Field(
        "", max_length=64, pattern="^[0-9a-f]*$", description="Names the request: an interrupted one of the same name is gone on with."
    )  # fmt: skip
    apply: bool = Field(False, description="False counts only, and compares with what is stored.")
    records_per_s: float | None = Field(
        None, ge=1, description="Most records a second, 1 at the least: other operations wait for this one."
    )


class CollectRequest(BaseModel):
    """Which tombstones are removed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    older_than_s: float = Field(15 * _DAY_S, ge=0, description="Last heard of at least so long ago, seconds.")
    tenant: str = ""
    apply: bool = False
    prune_journal: bool = Field(False, description="Forget applied records of that age first.")


def operations_router(operations: EmbeddedOperations) -> APIRouter:
    """The routes over one running system."""
    router = APIRouter(tags=["operations"])

    @router.get("/v1/dead-letters", summary="List open dead letters")
    async def list_letters(
        rights: CallerRights,
        reason: str = "",
        tenant: str = "",
        since_us: int = 0,
        until_us: int = 2**63,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
    ) -> Response:
        _tenant(rights, tenant)
        letters = await operations.desk.open_letters(LetterFilter(reason, tenant, since_us, until_us))
        return _json({"open": len(letters), "letters": [one.to_json(whole=False) for one in letters[:limit]]})

    @router.get("/v1/dead-letters/{letter_id}", summary="Show one dead letter with its original record")
    async def show_letter(letter_id: str, rights: CallerRights) -> Response:
        asked = LetterId.parse(letter_id)
        letter = await operations.desk.letter(asked)
        if not rights.holds(TenantId(letter.tenant), Role.OPERATE):
            raise no_such_letter(asked)
        return _json(letter.to_json(whole=True))

    @router.post("/v1/dead-letters/redrive", summary="Send the records of open dead letters again")
    async def redrive(letters: Letters, rights: CallerRights) -> Response:
        _tenant(rights, letters.tenant)
        done = await operations.desk.redrive(letters.to_filter(), ceiling=letters.max_attempts)
        left = {"gone": [*map(str, done.gone)], "refused": [*map(str, done.refused)]}
        return _json({"settled": done.settled, "at_ceiling": done.at_ceiling, **left})

    @router.post("/v1/dead-letters/discard", summary="Mark open dead letters as done with")
    async def discard(letters: Letters, rights: CallerRights) -> Response:
        _tenant(rights, letters.tenant)
        done = await operations.desk.discard(letters.to_filter())
        return _json({"settled": done.settled, "at_ceiling": 0})

    @router.post("/v1/replays", summary="Take changes in again; progress as a line of JSON every half second")
    async def replay(asked: ReplayRequest, rights: CallerRights) -> Response:
        _tenant(rights, asked.tenant)
        selection = Selection.of(asked.model_dump())
        return StreamingResponse(_replay(operations, selection, asked), media_type="application/x-ndjson")

    @router.post("/v1/collections", summary="Remove tombstones that no replay can reach")
    async def collect(asked: CollectRequest, rights: CallerRights) -> Response:
        tenant = _tenant(rights, asked.tenant)
        found, before_us = await operations.collect(
            older_than_us=int(asked.older_than_s * 1e6),
            apply=asked.apply,
            tenant=tenant,
            prune_journal=asked.prune_journal,
        )
        counts = {name: getattr(found, name) for name in found.__dataclass_fields__}
        return _json({**counts, "before_us": before_us})

    return router


def _tenant(rights: Rights, tenant: str) -> TenantId | None:
    """The tenant that a request names, where the caller may; None for every one."""
    if not tenant:
        rights.check_every_tenant()
        return None
    rights.check(tenant_id(tenant))
    return TenantId(tenant)


async def _replay(operations: EmbeddedOperations, selection: Selection, asked: ReplayRequest) -> AsyncIterator[bytes]:
    """Lines of progress; the last has `done`, or `error` with its sentence. Who goes away ends the replay, resumable."""
    newest: list[dict[str, Any]] = [Replayed().to_json()]

    def keep(counts: Replayed) -> None:
        newest[0] = counts.to_json()

    work = asyncio.ensure_future(
        operations.replay(
            selection, asked=asked.asked, apply=asked.apply, records_per_s=asked.records_per_s, on_progress=keep
        )
    )
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_TELL_EVERY_S)
            if not work.done():
                yield orjson.dumps(newest[0]) + b"\n"
        try:
            counts = work.result()
        except FerrofluxError as error:
            yield orjson.dumps({"error": str(error), "code": error.code}) + b"\n"
        else:
            yield orjson.dumps({**counts.to_json(), "done": True}) + b"\n"
    finally:
        work.cancel()
        await asyncio.wait({work})


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
