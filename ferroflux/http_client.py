"""Requests to a running ferroflux: where it is, a request, its problem as one sentence.

`ApiClient` serves commands; `PatientClient` serves bulk loads, and asks a busy or restarting server again with backoff, or
after as long as `Retry-After` says.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self

import httpx

from ferroflux.data_directory import DataDirectory, Endpoint
from runtime.clock import SYSTEM_CLOCK
from runtime.observability.redaction import redacted, without_credentials
from runtime.retry import TRIES, Backoff, BackoffPolicy, rest_s
from schemas.errors import (
    ConfigurationError,
    FerrofluxError,
    InvalidRequestError,
    LogUnavailableError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
)

URL_VARIABLE: Final = "FERROFLUX_URL"
API_KEY_VARIABLE: Final = "FERROFLUX_API_KEY"

_TIMEOUT_S: Final = 30.0
_REST_S: Final = 0.5


class UnreachableError(FerrofluxError):
    """No ferroflux answers there. Start one with `ferroflux up`, or give the address of a running one with --url."""

    code = "unreachable"


def locate(url: str = "", data_dir: Path | None = None) -> str:
    """The base URL of a running system: given, else of `FERROFLUX_URL`, else of the `ferroflux up` of the data directory.

    Raises:
        ConfigurationError: none of them names one.
    """
    chosen = url or os.environ.get(URL_VARIABLE, "")
    if chosen:
        if not chosen.startswith(("http://", "https://")):
            msg = f"{redacted(chosen)!r} is no address: it begins with http:// or https://"
            raise ConfigurationError(msg)
        return chosen.rstrip("/")
    directory = DataDirectory.resolve(data_dir)
    endpoint = Endpoint.find(directory)
    if endpoint is None:
        msg = (
            f"no ferroflux runs over {directory.root}: start one with `ferroflux up`, name its folder with --data-dir, "
            f"or give the address of one elsewhere with --url (or {URL_VARIABLE})"
        )
        raise ConfigurationError(msg)
    return endpoint.url


def api_key(given: str = "") -> str:
    """The key for the API: given, else of `FERROFLUX_API_KEY`, else none."""
    return given or os.environ.get(API_KEY_VARIABLE, "")


class ApiClient:
    """Requests to one base URL; a context manager."""

    def __init__(self, url: str, *, key: str = "", timeout_s: float | None = _TIMEOUT_S) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self.url = url
        self._rng = random.Random()  # noqa: S311 - spreads clients in time, no secret
        self._client = httpx.Client(base_url=url, headers=headers, timeout=timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON answer of a GET; parameters that are None are left out.

        Raises:
            UnreachableError: nobody answers.
            FerrofluxError: the answer is a problem; its sentence.
        """
        return self._answer("GET", path, params={k: v for k, v in parameters.items() if v is not None})

    def post(self, path: str, body: Any, **parameters: Any) -> Any:
        """The JSON answer of a POST with a JSON body. Raises as `get` does."""
        return self._answer("POST", path, json=body, params={k: v for k, v in parameters.items() if v is not None})

    def post_lines(self, path: str, body: Any) -> Iterator[dict[str, Any]]:
        """The JSON lines of a POST's streamed answer, as they come. Raises as `get` does, also where a line tells an error."""
        try:
            with self._client.stream("POST", path, json=body) as response:
                if not response.is_success:
                    response.read()
                    raise _problem(response)
                for text in response.iter_lines():
                    line = json.loads(text)
                    if "error" in line:
                        raise InvalidRequestError(line["error"])
                    yield line
        except httpx.TransportError as error:
            raise UnreachableError(
                f"{without_credentials(self.url)} went away in the middle ({type(error).__name__}); try again"
            ) from error

    def _answer(self, method: str, path: str, **options: Any) -> Any:
        """Ask; a server that is busy is asked again after as long as it says, a few times."""
        for left in range(TRIES - 1, -1, -1):
            response = self._asked(method, path, **options)
            if response.is_success:
                return response.json()
            if response.status_code != httpx.codes.TOO_MANY_REQUESTS or not left:
                break
            time.sleep(rest_s(response.headers.get("Retry-After"), _REST_S, self._rng))
        raise _problem(response)

    def _asked(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return self._client.request(method, path, **options)
        except httpx.TransportError as error:
            msg = (
                f"no ferroflux answers at {without_credentials(self.url)} ({type(error).__name__}): start one with `ferroflux up`, "
                "or give the address of a running one with --url"
            )
            raise UnreachableError(msg) from error


def _problem(response: httpx.Response) -> FerrofluxError:
    sentence = problem_sentence(response)
    if response.status_code == httpx.codes.NOT_FOUND:
        return NotFoundError(sentence)
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return NotReadyError(sentence)
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return OverloadedError(sentence)
    return InvalidRequestError(sentence)


def problem_sentence(response: httpx.Response) -> str:
    """What went wrong, from problem details (RFC 9457) where the answer holds them."""
    try:
        problem = response.json()
        detail = problem.get("detail") or problem["title"]
    except (ValueError, KeyError, AttributeError):
        return f"{without_credentials(str(response.request.url))} answered {response.status_code}"
    wrong = [f"{entry['field']}: {entry['detail']}" for entry in problem.get("errors") or () if entry.get("field")]
    return f"{detail} ({'; '.join(wrong[:3])})" if wrong and wrong[0] not in detail else str(detail)


RETRY_FOR_S: Final = 120.0
_BACKOFF: Final = BackoffPolicy(base_s=0.1, cap_s=5.0)
_PATIENT_TIMEOUT_S: Final = 90.0
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
        self._client = httpx.AsyncClient(
            base_url=self.url, headers=headers, timeout=_PATIENT_TIMEOUT_S, transport=transport
        )
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
