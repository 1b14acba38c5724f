"""Opens the vector index and the content store that the settings choose."""

import math
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from qdrant_client import AsyncQdrantClient

from retrieval.vectors.contents import ContentVectors
from retrieval.vectors.edge.index import EdgeIndex
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.qdrant.calls import StoreCalls
from retrieval.vectors.qdrant.contents import QdrantContentVectors
from retrieval.vectors.qdrant.index import QdrantIndex
from retrieval.vectors.settings import VectorSettings, VectorStoreKind
from runtime.observability.redaction import without_credentials

log = structlog.get_logger(__name__)

_CHANNEL_OPTIONS = {
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 5_000,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 2_000,
}
"""A server that comes back is found within two seconds (gRPC's own bound is two minutes), a dead one noticed."""


async def open_vector_index(settings: VectorSettings) -> VectorIndex:
    """Open the index; call `prepare` before anything else, and `close` at the end.

    A server is not contacted yet, so this succeeds while it is away.

    Raises:
        IndexInUseError: another process owns Edge's directory.
    """
    if settings.kind is VectorStoreKind.EDGE:
        return await EdgeIndex.open(settings)
    return QdrantIndex(remote_client(settings), settings)


@asynccontextmanager
async def opened_contents(settings: VectorSettings, *, wanted: bool = True) -> AsyncIterator[ContentVectors | None]:
    """The server's content store; None where the settings want none. It is not contacted yet."""
    if not wanted or not settings.content_bytes:
        yield None
        return
    client = remote_client(settings.model_copy(update={"connections": 1}))
    contents = QdrantContentVectors(client, settings)
    try:
        yield contents
    finally:
        await contents.close()


def local_index(settings: VectorSettings | None = None) -> QdrantIndex:
    """The server's adapter on qdrant-client's imitation of a server in memory: for tests, gone with the process."""
    return QdrantIndex(AsyncQdrantClient(location=":memory:"), settings or VectorSettings(), local=True)


def remote_client(settings: VectorSettings) -> AsyncQdrantClient:
    """A client whose every call goes by gRPC, with this project's channel options."""
    key = settings.api_key.get_secret_value() if settings.api_key else None
    if key and settings.url.startswith("http://"):
        log.warning("the vector store's api key travels unencrypted", remedy="use an https url")
    with warnings.catch_warnings():
        # The line above says it in our own log.
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        return AsyncQdrantClient(
            url=settings.url,
            grpc_port=settings.grpc_port,
            prefer_grpc=True,
            api_key=key,
            timeout=math.ceil(settings.timeout_s),
            pool_size=settings.connections,
            grpc_options=dict(_CHANNEL_OPTIONS),
            # It asks the REST port, from a thread, and warns of minor versions two apart; `prepare` checks by gRPC
            # what we really need.
            check_compatibility=False,
        )


async def drop_collection(settings: VectorSettings) -> None:
    """Remove the server's collection with all its points; one that is not there is passed over.

    Raises:
        StoreUnavailableError: the server did not answer.
    """
    client = remote_client(settings)
    calls = StoreCalls(without_credentials(settings.url), timeout_s=settings.timeout_s, retry=settings.retry)

    async def drop() -> bool:
        if not await client.collection_exists(settings.collection):
            return False
        return await client.delete_collection(settings.collection)

    try:
        if await calls("remove the collection", drop):
            log.info("collection removed", collection=settings.collection)
    finally:
        await client.close()
