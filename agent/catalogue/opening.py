"""From the settings to the catalogue that the tools search: over HTTP, or in this process beside a replica."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Final

import httpx

from agent.catalogue.answers import Counted
from agent.catalogue.local import LocalCatalogue
from agent.catalogue.remote import RemoteCatalogue
from agent.errors import CatalogueUnavailableError
from agent.ports import CatalogueSearch
from agent.settings import AgentSettings, CatalogueKind
from retrieval.serving.parts import ServingSettings
from retrieval.serving.searchers import Searchers
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.settings import VectorStoreKind
from runtime.retry import BackoffPolicy
from runtime.supervision import Supervisor
from schemas.errors import ConfigurationError

_OPENED_WITHIN_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.02
_LOOK_AGAIN: Final = BackoffPolicy(base_s=0.2, cap_s=1.0)


async def open_catalogue(
    settings: AgentSettings, stack: AsyncExitStack, supervisor: Supervisor, *, counted: Counted
) -> CatalogueSearch:
    """The catalogue; what has to be closed is put on the stack, what runs for long is put under the supervisor.

    `counted` is told of each product that cannot be read.

    Raises:
        ConfigurationError: it is to be local, and the vector store belongs to another process.
        RetryableError: a store does not answer yet.
    """
    chosen = settings.agent.catalogue
    if chosen.kind is CatalogueKind.HTTP:
        client = httpx.AsyncClient(base_url=chosen.url, timeout=chosen.timeout_s)
        remote = RemoteCatalogue(client, chosen.api_keys, counted=counted)
        stack.push_async_callback(remote.close)
        return remote
    return await _open_local(settings, stack, supervisor, counted)


async def _open_local(
    settings: AgentSettings, stack: AsyncExitStack, supervisor: Supervisor, counted: Counted
) -> LocalCatalogue:
    if settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "Qdrant Edge belongs to one process, so an agent of its own cannot search it: set agent.catalogue.kind=http "
            "and the search API's address, or run everything in one with `ferroflux up`"
        )
    text = settings.text
    index = TextIndexSettings(directory=text.directory, heap_mb=text.heap_mb, weights=text.weights)
    serving = ServingSettings(settings.vectors, settings.encoder, index, settings.search, refresh_s=text.refresh_s)
    searchers = Searchers(serving, supervisor)
    await searchers.start()
    stack.push_async_callback(searchers.stop)

    async def opened() -> None:
        """Raise what the live generation waits for, where it is not open."""
        if waiting := searchers.current.waiting:
            raise CatalogueUnavailableError("; ".join(f"{part}: {why}" for part, why in waiting.items()))

    with suppress(TimeoutError):
        async with asyncio.timeout(_OPENED_WITHIN_S):
            while searchers.current.waiting:  # noqa: ASYNC110 - several parts open, each in its own time
                await asyncio.sleep(_LOOK_EVERY_S)
    # What is not open by then is waited for in readiness, with its reason.
    opening = supervisor.start("open-catalogue", opened, ends=True, backoff=_LOOK_AGAIN)
    stack.push_async_callback(opening.stop)
    return LocalCatalogue(searchers.lease, counted=counted)
