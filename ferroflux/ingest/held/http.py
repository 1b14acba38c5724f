"""Held versions of a running ferroflux: `POST /v1/changes/held`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from http import HTTPStatus
from typing import Final, Self

import httpx
import orjson

from ferroflux.ingest.held.port import Held, Look, NotLookedError, Register
from ferroflux.ingest.patient import PatientClient
from ferroflux.operations.http_client import problem_sentence
from schemas.api.limits import MAX_HELD
from schemas.errors import InvalidRequestError
from schemas.identity import SkuId, SkuKey, TenantId
from schemas.product.changes import FacetKey
from schemas.product.sources import SourceEntry
from schemas.version import Stamp

HELD_PATH: Final = "/v1/changes/held"
_BODY_BYTES: Final = 48 * 1024
"""Below the 64 KiB that a body may have where nobody set another bound."""
_NO_ROUTE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})


class HttpHeldVersions:
    """The port `HeldVersions` over the HTTP API."""

    def __init__(self, url: str, *, api_key: str = "", transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._client = PatientClient(url, media_type="application/json", api_key=api_key, transport=transport)

    async def look(self, registers: Collection[Register]) -> Look:
        """Ask, in requests that are within the server's bounds."""
        look = Look()
        for asked in _requests(registers):
            answer = await self._ask(asked)
            look = _both(look, answer)
        return look

    async def _ask(self, asked: Sequence[bytes]) -> Look:
        response = await self._client.post(HELD_PATH, b'{"registers":[' + b",".join(asked) + b"]}")
        if response.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE and len(asked) > 1:
            half = len(asked) // 2
            return _both(await self._ask(asked[:half]), await self._ask(asked[half:]))
        if response.status_code in _NO_ROUTE:
            raise NotLookedError(f"{self._client.url} is of a release that does not tell which versions it holds")
        if not response.is_success:
            raise InvalidRequestError(problem_sentence(response))
        body = response.json()
        held = {
            (SkuKey(TenantId(one["tenant"]), SkuId(one["sku"])), FacetKey(one["facet"])): Held(
                Stamp.from_json(one["stamp"]), one["changed_at_us"]
            )
            for one in body["held"]
        }
        histories = {
            (TenantId(one["tenant"]), FacetKey(one["facet"])): tuple(
                SourceEntry.from_json(entry) for entry in one["entries"]
            )
            for one in body.get("sources", ())
        }
        return Look(held, body["now_us"], histories)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()


def _both(first: Look, second: Look) -> Look:
    return Look({**first.held, **second.held}, second.now_us, {**first.histories, **second.histories})


def _requests(registers: Collection[Register]) -> Iterator[list[bytes]]:
    asked: list[bytes] = []
    size = 0
    for key, facet in registers:
        one = orjson.dumps({"tenant": key.tenant, "sku": key.sku, "facet": facet})
        if asked and (len(asked) >= MAX_HELD or size + len(one) > _BODY_BYTES):
            yield asked
            asked, size = [], 0
        asked.append(one)
        size += len(one) + 1
    if asked:
        yield asked
