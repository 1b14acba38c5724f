"""From the settings to the catalogue that the tools search: over HTTP, or in this process beside a replica."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import httpx

from agent.catalogue.answers import Counted
from agent.catalogue.local import LocalCatalogue
from agent.catalogue.remote import RemoteCatalogue
from agent.ports import CatalogueSearch
from agent.settings import AgentSettings, CatalogueKind
from retrieval.analysis.pipeline import analyse
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.rerank.onnx import load_reranker
from retrieval.search.hybrid import HybridSearcher
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.self_check import open_collection
from retrieval.vectors.settings import VectorStoreKind
from runtime.supervision import Supervisor
from schemas.errors import ConfigurationError, RetryableError


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
    vectors = await open_vector_index(settings.vectors)
    stack.push_async_callback(vectors.close)
    chosen = await asyncio.to_thread(settle_layers, settings.encoder, await vectors.recorded())
    encoder = await asyncio.to_thread(load_encoder, chosen)
    await open_collection(vectors, encoder)
    text = settings.text
    reader = open_reader(TextIndexSettings(directory=text.directory, heap_mb=text.heap_mb, weights=text.weights))
    reranker = await asyncio.to_thread(load_reranker, settings.search.rerank)
    searcher = HybridSearcher.over(
        vectors=vectors,
        encoder=encoder,
        reader=reader,
        analyse=analyse,
        settings=settings.search,
        reranker=reranker,
    )
    stack.callback(searcher.close)
    following = supervisor.start("follow-replica", lambda: _follow(reader, text.refresh_s), ready_without=True)
    stack.push_async_callback(following.stop)
    return LocalCatalogue(lambda: searcher, lambda: reader, counted=counted)


class ReplicaNotFollowedError(RetryableError):
    """The text replica beside this process cannot be read, so the agent searches the commit that it loaded last. It is tried again; if it stays, look at the replica's folder and its log."""

    code = "replica_not_followed"


async def _follow(reader: TextIndexReader, pause_s: float) -> None:
    """Look for newer commits of the replica for ever.

    Raises:
        ReplicaNotFollowedError: they cannot be read: the replica is being replaced, or its disk fails.
    """
    while True:
        try:
            await asyncio.to_thread(reader.refresh)
        except (OSError, ValueError) as error:  # Tantivy raises ValueError for a file that is not there, or not whole
            raise ReplicaNotFollowedError from error
        await asyncio.sleep(pause_s)
