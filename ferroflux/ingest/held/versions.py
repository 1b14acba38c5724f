"""The port `HeldVersions`: which version each of many facets holds, who feeds it, and the time where they are held; and the port over HTTP."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Final, Protocol, Self

import httpx
import orjson

from ferroflux.http_client import PatientClient, problem_sentence
from schemas.api.limits import MAX_HELD
from schemas.errors import FerrofluxError, InvalidRequestError
from schemas.identity import SkuId, SkuKey, TenantId
from schemas.product.changes import FacetKey
from schemas.product.sources import History, SourceEntry
from schemas.version import Stamp

Register = tuple[SkuKey, FacetKey]
"""One facet of one product."""


class NotLookedError(FerrofluxError):
    """What facets hold cannot be asked for here. Make the store reachable that the message names, or say with --no-look that it need not be."""

    code = "not_looked"


class VersionRefusedError(InvalidRequestError):
    """A change could not win over what is there, or would freeze it. Do what the message says, or insist with --force."""

    code = "version_refused"


@dataclass(frozen=True, slots=True)
class Held:
    """What a facet holds: the newest event's stamp, a tombstone's too, and when its source committed it (0: unknown)."""

    stamp: Stamp
    changed_at_us: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """Answer to one look: the registers that hold something, and the server's time where there is a server to say it.

    `histories` has the sources of the facets that were asked for, of those that have any.
    """

    held: Mapping[Register, Held] = field(default_factory=dict)
    now_us: int | None = None
    histories: Mapping[tuple[TenantId, FacetKey], History] = field(default_factory=dict)


class HeldVersions(Protocol):
    """Looks at what is indexed: a change that is still on its way is not seen."""

    async def look(self, registers: Collection[Register]) -> Look:
        """Look at many registers; as many round trips as their number needs, each bounded.

        Raises:
            NotLookedError: they cannot be looked at from here.
            FerrofluxError: the server refuses us.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


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
