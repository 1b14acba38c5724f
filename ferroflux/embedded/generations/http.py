"""Generations over HTTP: what `ferroflux generation` asks of a running `ferroflux up`. Documented in docs/how-to/operations.md.

A generation concerns every tenant. Where the server asks for keys, a caller must therefore hold one of the installation: the table of
routes says so, and the gate before the routes holds to it.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from ferroflux.embedded.generations.system import EmbeddedGenerations
from ferroflux.operations.generations.encoder import chosen_encoder, fetch_callers_models, require_callers_choice
from ferroflux.operations.generations.gate import JudgedFigures
from indexer.generations.build import BuildOutcome, BuildProgress
from retrieval.encoders.settings import EncoderSettings
from retrieval.generations.errors import GenerationRefusedError
from runtime.fetching import FetchSettings
from runtime.rights.keys import CallerRights
from schemas.errors import ConfigurationError, FerrofluxError, InvalidRequestError
from schemas.generations import GenerationName, Origin

_TELL_EVERY_S: Final = 0.5
_FOLLOW_S: Final = 20.0


class BuildBody(BaseModel):
    """Which generation is built."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    name: GenerationName
    model: str = Field("", description="The text encoder's model; empty: that of the settings.")
    assignments: tuple[str, ...] = Field((), alias="set", description="Settings of the encoder as NAME=VALUE.")
    origin: Origin | None = Field(
        None, alias="from", description="Where to begin; null: the journal, where it is whole."
    )
    take_over: bool = Field(True, description="Whether vectors of the same text and model are taken over.")


class JudgedBody(BaseModel):
    """Figures of judged queries, as `ferroflux generation compare --json` prints them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    judged: dict[str, Any] | None = None
    force: str = Field("", max_length=500, description="The reason why the gate is overruled.")

    def figures(self) -> JudgedFigures | None:
        """The figures.

        Raises:
            InvalidRequestError: a member is missing.
        """
        if self.judged is None:
            return None
        try:
            return JudgedFigures.from_json(self.judged)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequestError(f"judged: {error!r}") from error


def generations_router(
    generations: EmbeddedGenerations, encoder: EncoderSettings, fetch: FetchSettings | None = None
) -> APIRouter:
    """The routes over one running system; `fetch` is what a caller may have fetched."""
    fetching = fetch or FetchSettings()
    router = APIRouter(tags=["operations"])

    @router.get("/v1/generations", summary="Every generation, and which is live")
    async def status(rights: CallerRights) -> Response:
        rights.check_every_tenant()
        return _json(await generations.desk.status())

    @router.post("/v1/generations/build", summary="Build a generation; progress as a line of JSON every half second")
    async def build(body: BuildBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            chosen = chosen_encoder(encoder, body.model, body.assignments)
        require_callers_choice(chosen, encoder, fetching)

        async def fetched() -> EncoderSettings:
            await asyncio.to_thread(fetch_callers_models, chosen, encoder, fetching)
            return chosen

        return StreamingResponse(_build(generations, body, fetched), media_type="application/x-ndjson")

    @router.post("/v1/generations/rollback", summary="Make the generation before the live one again")
    async def rollback(rights: CallerRights) -> Response:
        rights.check_every_tenant()
        return await _decided(generations, _rolled_back(generations))

    @router.post("/v1/generations/{name}/gate", summary="What speaks against promoting a generation")
    async def gate(name: str, body: JudgedBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            found, _ = await generations.desk.objections(name, body.figures())
        return _json({"objections": found})

    @router.post("/v1/generations/{name}/promote", summary="Make a prepared generation the live one")
    async def promote(name: str, body: JudgedBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        return await _decided(generations, _promoted(generations, name, body))

    @router.post("/v1/generations/{name}/drop", summary="Remove a generation that is not live")
    async def drop(name: str, body: JudgedBody, rights: CallerRights) -> Response:
        rights.check_every_tenant()
        with _refusals():
            generations.require_droppable(name)
            await generations.desk.drop(name, force=body.force)
        return _json({"dropped": name})

    return router


@contextmanager
def _refusals() -> Iterator[None]:
    """What is refused is the request's to change: its sentence goes to the caller."""
    try:
        yield
    except (GenerationRefusedError, ConfigurationError) as error:
        raise InvalidRequestError(str(error)) from error


async def _promoted(generations: EmbeddedGenerations, name: str, body: JudgedBody) -> str:
    return (await generations.desk.promote(name, body.figures(), force=body.force)).live


async def _rolled_back(generations: EmbeddedGenerations) -> str:
    return (await generations.desk.roll_back()).live


async def _decided(generations: EmbeddedGenerations, move: Awaitable[str]) -> Response:
    with _refusals():
        live = await move
    serving, workers = await generations.desk.followed(live, timeout_s=_FOLLOW_S)
    return _json({"live": live, "serving": serving, "workers": workers})


async def _build(
    generations: EmbeddedGenerations, body: BuildBody, fetched: Callable[[], Awaitable[EncoderSettings]]
) -> AsyncIterator[bytes]:
    """Lines of progress; the last has the outcome, or `error` with its sentence. Who goes away ends the build, resumable."""
    newest = [BuildProgress("opening", 0.0, "")]

    def keep(progress: BuildProgress) -> None:
        newest[0] = progress

    async def built() -> BuildOutcome:
        return await generations.build(
            body.name, await fetched(), origin=body.origin, take_over=body.take_over, on_progress=keep
        )

    work = asyncio.ensure_future(built())
    try:
        while not work.done():
            await asyncio.wait({work}, timeout=_TELL_EVERY_S)
            if not work.done():
                progress = newest[0]
                line = {"what": progress.what, "fraction": progress.fraction, "text": progress.text}
                yield orjson.dumps(line) + b"\n"
        try:
            outcome = work.result()
        except FerrofluxError as error:
            yield orjson.dumps({"error": str(error), "code": error.code}) + b"\n"
        else:
            yield orjson.dumps(outcome.to_json()) + b"\n"
    finally:
        work.cancel()
        await asyncio.wait({work})


def _json(content: dict[str, Any]) -> Response:
    return Response(orjson.dumps(content), media_type="application/json")
