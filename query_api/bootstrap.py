"""The query worker's composition root: from settings to the application, and to one or several serving processes."""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from uvicorn.supervisors import Multiprocess

from query_api.http.app import create_app
from query_api.http.metrics import ApiMetrics
from query_api.settings import ApiSettings
from query_api.worker import Pace, Stores, Worker
from retrieval.analysis.pipeline import analyse
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.port import TextEncoder
from retrieval.rerank.factory import load_reranker
from retrieval.rerank.port import Reranker
from retrieval.serving.exposition import MULTIPROCESS_FOLDER
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorStoreKind
from schemas.errors import ConfigurationError

log = structlog.get_logger(__name__)

_WORKER_ANSWERS_WITHIN_S: Final = 60
"""A worker answers its supervisor only once it has imported this program. On a busy machine that took longer than uvicorn's
five seconds, and the worker was killed and started again, for ever."""


def build_app(
    settings: ApiSettings,
    *,
    vectors: VectorIndex | None = None,
    encoder: TextEncoder | None = None,
    reader: TextIndexReader | None = None,
    reranker: Reranker | None = None,
    registry: CollectorRegistry | None = None,
    tailed: bool = True,
) -> FastAPI:
    """The application over the stores that the settings name, or over those that a launcher passes in.

    What is passed in stays the launcher's to close, and must be usable from the event loop that serves the application.
    `tailed` says that a tailer reports in `settings.text.directory`; the worker is ready only when that report says that
    the replica is whole.

    Raises:
        ConfigurationError: the settings name Qdrant Edge, which this process cannot share with the indexer's.
    """
    if vectors is None and settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "Qdrant Edge belongs to one process, so a search API of its own cannot read it: set "
            "FERROFLUX_VECTORS__KIND=qdrant and FERROFLUX_VECTORS__URL, or run everything in one with `ferroflux up`"
        )

    async def vectors_of_settings() -> VectorIndex:
        return await open_vector_index(settings.vectors)

    async def given_vectors() -> VectorIndex:
        assert vectors is not None
        return vectors

    stores = Stores(
        open_encoder=(lambda: encoder) if encoder is not None else lambda: load_encoder(settings.encoder),
        open_reranker=lambda: reranker if reranker is not None else load_reranker(settings.search.rerank),
        open_vectors=vectors_of_settings if vectors is None else given_vectors,
        open_reader=(lambda: reader) if reader is not None else lambda: open_reader(settings.text.index),
        analyse=analyse,
        replica_folder=settings.text.directory if tailed else None,
        owned=vectors is None,
    )
    text = settings.text
    pace = Pace(text.refresh_s, text.heartbeat_s, text.freshness_window_s)
    metrics = ApiMetrics(registry or CollectorRegistry())
    worker = Worker(stores, settings.search, pace)
    worker.freshness.on_visible = metrics.visible
    return create_app(worker, settings.http, metrics)


def run_api(settings: ApiSettings, workers: int = 1, *, prepare_process: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that run.

    Several workers are processes that share the port and one replica on disk; each has its own encoder and counts its
    own freshness, and any of them answers /metrics for all. A worker that dies is replaced. `prepare_process` (logging,
    say) is called in each process before anything else; with several workers it must be a module's function.
    """
    factory = functools.partial(_worker_app, settings, prepare_process)
    config = uvicorn.Config(
        factory,
        factory=True,
        host=settings.http.host,
        port=settings.http.port,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        timeout_graceful_shutdown=settings.http.shutdown_s,
        timeout_worker_healthcheck=_WORKER_ANSWERS_WITHIN_S,
    )
    log.info(
        "api starts",
        workers=workers,
        host=settings.http.host,
        port=settings.http.port,
        settings=settings.model_dump(mode="json"),
    )
    if workers == 1:
        uvicorn.Server(config).run()
        return
    folder = Path(tempfile.mkdtemp(prefix="ferroflux-metrics-"))
    # The library reads this variable as it is imported: the workers are new processes and find it set.
    os.environ[MULTIPROCESS_FOLDER] = str(folder)
    try:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    finally:
        del os.environ[MULTIPROCESS_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


def _worker_app(settings: ApiSettings, prepare_process: Callable[[], None] | None) -> FastAPI:
    if prepare_process is not None:
        prepare_process()
    return build_app(settings)
