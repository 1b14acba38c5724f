"""The port `Operations` over HTTP, on a running `ferroflux up`."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import BaseModel

from ferroflux.http_client import ApiClient
from ferroflux.operations.port import (
    BuildBody,
    HandoverRequest,
    Json,
    JudgedBody,
    Letters,
    OnProgress,
    Replay,
    ResetRequest,
    TombstoneGcRequest,
)
from indexer.deadletters.letter import LetterId
from schemas.errors import NotReadyError


class HttpOperations:
    """Each request is one of the API's. Every method raises as `ApiClient` does."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url = url
        self._key = key

    async def letters(self, asked: Letters, limit: int) -> Json:
        """`GET /v1/dead-letters`."""
        return await self._get(
            "/v1/dead-letters", **_body(asked, "reason", "tenant", "since_us", "until_us"), limit=limit
        )

    async def letter(self, letter_id: LetterId) -> Json:
        """`GET /v1/dead-letters/{id}`."""
        return await self._get(f"/v1/dead-letters/{letter_id}")

    async def redrive(self, asked: Letters) -> Json:
        """`POST /v1/dead-letters/redrive`."""
        return await self._post("/v1/dead-letters/redrive", asked)

    async def discard(self, asked: Letters) -> Json:
        """`POST /v1/dead-letters/discard`."""
        return await self._post("/v1/dead-letters/discard", asked)

    async def replay(self, asked: Replay, on_progress: OnProgress) -> Json:
        """`POST /v1/replays`."""
        return await self._follow("/v1/replays", asked, on_progress)

    async def tombstone_gc(self, asked: TombstoneGcRequest) -> Json:
        """`POST /v1/tombstones/gc`."""
        return await self._post("/v1/tombstones/gc", asked)

    async def facets(self, tenant: str) -> Json:
        """`GET /v1/facets`."""
        return await self._get("/v1/facets", tenant=tenant)

    async def hand_over(self, asked: HandoverRequest) -> Json:
        """`POST /v1/facets/handover`."""
        return await self._post("/v1/facets/handover", asked)

    async def reset(self, asked: ResetRequest) -> Json:
        """`POST /v1/facets/reset`."""
        return await self._post("/v1/facets/reset", asked)

    async def generations(self) -> Json:
        """`GET /v1/generations`."""
        return await self._get("/v1/generations")

    async def build(self, asked: BuildBody, on_progress: OnProgress) -> Json:
        """`POST /v1/generations/build`."""
        return await self._follow("/v1/generations/build", asked, on_progress)

    async def objections(self, name: str, judged: JudgedBody) -> Json:
        """`POST /v1/generations/{name}/gate`."""
        return await self._post(f"/v1/generations/{name}/gate", judged)

    async def promote(self, name: str, judged: JudgedBody) -> Json:
        """`POST /v1/generations/{name}/promote`."""
        return await self._post(f"/v1/generations/{name}/promote", judged)

    async def roll_back(self) -> Json:
        """`POST /v1/generations/rollback`."""
        return await self._post("/v1/generations/rollback", None)

    async def drop(self, name: str, judged: JudgedBody) -> Json:
        """`POST /v1/generations/{name}/drop`."""
        return await self._post(f"/v1/generations/{name}/drop", judged)

    async def _get(self, path: str, **parameters: Any) -> Json:
        with ApiClient(self._url, key=self._key) as client:
            found: Json = await asyncio.to_thread(client.get, path, **parameters)
            return found

    async def _post(self, path: str, asked: BaseModel | None) -> Json:
        # Whatever an operation does, it answers when it is done: some take minutes.
        with ApiClient(self._url, key=self._key, timeout_s=None) as client:
            found: Json = await asyncio.to_thread(client.post, path, _body(asked))
            return found

    async def _follow(self, path: str, asked: BaseModel, on_progress: OnProgress) -> Json:
        """A stream of progress, a line of JSON each; the last is the answer."""

        def follow() -> Json:
            last: Json | None = None
            with ApiClient(self._url, key=self._key, timeout_s=None) as client:
                for line in client.post_lines(path, _body(asked)):
                    last = line
                    on_progress(line)
            if last is None:
                raise NotReadyError(f"{path} ended without an answer; try again")
            return last

        return await asyncio.to_thread(follow)


def _body(asked: BaseModel | None, *names: str) -> Json:
    if asked is None:
        return {}
    # Without what is as by default, a server of the release before understands it, too.
    return asked.model_dump(mode="json", by_alias=True, include=set(names) if names else None, exclude_defaults=True)
