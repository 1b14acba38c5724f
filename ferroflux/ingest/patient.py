"""Requests that wait for a busy or restarting server: asked again with backoff, as long as `Retry-After` says."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final

import httpx

from ferroflux.operations.http_client import problem_sentence
from runtime.clock import SYSTEM_CLOCK
from runtime.retry import Backoff, BackoffPolicy, rest_s
from schemas.errors import LogUnavailableError

RETRY_FOR_S: Final = 120.0
_BACKOFF: Final = BackoffPolicy(base_s=0.1, cap_s=5.0)
_TIMEOUT_S: Final = 90.0
_TRY_AGAIN: Final = frozenset({408, 429, 502, 503, 504})


class PatientClient:
    """POSTs to one base URL; closed by `close`."""

    def __init__(
        self, url: str, *, media_type: str, api_key: str = "", transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        headers = {"content-type": media_type}
        if api_key:
            headers["authorization"] = f"Bearer {api_key}"
        self.url = url.rstrip("/")
        self._client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=_TIMEOUT_S, transport=transport)
        self._rng = random.Random()  # noqa: S311 - spreads clients in time, no secret

    async def post(self, path: str, content: bytes, parameters: Mapping[str, str] | None = None) -> httpx.Response:
        """The first answer that does not ask to try again.

        Raises:
            LogUnavailableError: there was none for two minutes.
        """
        backoff = Backoff(_BACKOFF, self._rng)
        deadline = SYSTEM_CLOCK.monotonic() + RETRY_FOR_S
        while True:
            try:
                response = await self._client.post(path, content=content, params=dict(parameters or {}))
            except httpx.TransportError as error:
                asked = None
                reason = f"{self.url} cannot be reached ({type(error).__name__})"
            else:
                if response.status_code not in _TRY_AGAIN:
                    return response
                reason = problem_sentence(response)
                asked = response.headers.get("Retry-After")
            rest = rest_s(asked, backoff.next(), self._rng)
            if SYSTEM_CLOCK.monotonic() + rest > deadline:
                raise LogUnavailableError(f"{reason}; run the command again: it goes on where it stopped")
            await asyncio.sleep(rest)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
