"""The query worker's composition root: from settings to the application, and to one or several serving processes."""

import functools
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

import structlog
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from uvicorn.supervisors import Multiprocess

from query_api.http.app import create_app
from query_api.http.metrics import ApiMetrics
from query_api.settings import ApiSettings, HttpSettings
from query_api.worker import Pace, Stores, Worker
from retrieval.analysis.pipeline import analyse
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations.fitting import encoder_settings, text_folder
from retrieval.rerank.onnx import load_reranker
from retrieval.rerank.port import Reranker
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.settings import VectorStoreKind
from runtime.admission.bounds import Bound
from runtime.admission.middleware import Doors
from runtime.event_loop import ProcessEnd, serve_until_signal
from runtime.metrics import MULTIPROCESS_FOLDER, TaskMetrics
from runtime.redaction import shown
from runtime.rights.openness import announce
from runtime.supervision import Supervisor
from schemas.api.routes import RouteClass
from schemas.errors import ConfigurationError
from schemas.generations import Generation

log = structlog.get_logger(__name__)

VARIABLES: Final = "FERROFLUX_HTTP__"
"""What the settings of the API's address and keys begin with."""

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
    open_generation: Callable[[Generation], Stores] | None = None,
    larger_bodies: Mapping[str, int] | None = None,
    supervisor: Supervisor | None = None,
) -> FastAPI:
    """The application over the stores that the settings name, or over those that a launcher passes in.

    What is passed in stays the launcher's to close, and must be usable from the event loop that serves the application.
    `tailed` says that a tailer reports in `settings.text.directory`; the worker is ready only when that report says that
    the replica is whole. `open_generation` gives the stores of the generations beside `main`, where a launcher owns them.
    `larger_bodies` are the paths of routes that the launcher adds and that take more bytes than searches do.
    The background tasks run under `supervisor`, which the application stops; its failure is to end the process.

    Raises:
        ConfigurationError: the settings name Qdrant Edge, which this process cannot share with the indexer's.
    """
    if vectors is None and settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "Qdrant Edge belongs to one process, so a search API of its own cannot read it: set "
            "FERROFLUX_VECTORS__KIND=qdrant and FERROFLUX_VECTORS__URL, or run everything in one with `ferroflux up`"
        )

    encoders: WeakValueDictionary[EncoderSettings, TextEncoder] = WeakValueDictionary()
    loading = threading.Lock()

    def encoder_of(settings: EncoderSettings, recorded: Mapping[str, Any] | None) -> TextEncoder:
        """Generations with the same encoder share it; it goes with the last of them."""
        chosen = settle_layers(settings, recorded)
        with loading:
            held = encoders.get(chosen)
            if held is None:
                held = encoders[chosen] = load_encoder(chosen)
            return held

    @functools.cache
    def loaded_reranker() -> Reranker | None:
        return load_reranker(settings.search.rerank)

    def the_reranker() -> Reranker | None:
        """The one that was passed in, or that of the settings: it reads texts, and serves every generation."""
        if reranker is not None:
            return reranker
        with loading:
            return loaded_reranker()

    def stores_of(manifest: Generation | None) -> Stores:
        if manifest is not None and open_generation is not None:
            return open_generation(manifest)
        text = settings.text.model_copy(update={"directory": text_folder(settings.text.directory, manifest)})
        chosen = encoder_settings(settings.encoder, manifest)
        collection = settings.vectors.collection if manifest is None else manifest.collection
        vector_settings = settings.vectors.model_copy(update={"collection": collection})

        async def open_vectors() -> VectorIndex:
            return vectors if vectors is not None else await open_vector_index(vector_settings)

        return Stores(
            open_encoder=lambda recorded: encoder if encoder is not None else encoder_of(chosen, recorded),
            open_reranker=the_reranker,
            open_vectors=open_vectors,
            open_reader=(lambda: reader) if reader is not None else lambda: open_reader(text.index),
            analyse=analyse,
            replica_folder=text.directory if tailed else None,
            owned=vectors is None,
            follows_record=encoder is None and chosen.layers is LayerChoice.AUTO,
        )

    text = settings.text
    pace = Pace(text.refresh_s, text.heartbeat_s, text.freshness_window_s)
    registry = registry or CollectorRegistry()
    metrics = ApiMetrics(registry)
    folder = text.directory if tailed else None
    # A launcher that opens the generations asks its worker; processes of their own report by file.
    reports = text.reports_folder if tailed and open_generation is None else None
    worker = Worker(
        stores_of,
        settings.search,
        pace,
        folder=folder,
        reports=reports,
        supervisor=supervisor or Supervisor(TaskMetrics(registry)),
        on_visible=metrics.visible,
    )
    return create_app(worker, settings.http, metrics, _doors(settings.http, metrics), larger_bodies=larger_bodies)


def _doors(http: HttpSettings, metrics: ApiMetrics) -> Doors:
    """What a worker may hold, as its settings say."""
    bounds = {
        RouteClass.SEARCH: Bound(most=http.max_in_flight, within_s=http.answer_within_s),
        RouteClass.LOOKUP: Bound(most=http.max_lookups, within_s=http.answer_within_s, least=16),
    }
    return Doors(bounds, metrics.admission)


def run_api(settings: ApiSettings, workers: int = 1, *, prepare_process: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the requests that run.

    Several workers are processes that share the port and one replica on disk; each has its own encoder and counts its
    own freshness, and any of them answers /metrics for all. A worker that dies is replaced. `prepare_process` (logging,
    say) is called in each process before anything else; with several workers it must be a module's function.

    Raises:
        FatalError: the one worker's background task failed for good.
    """
    end = ProcessEnd()
    factory = functools.partial(_worker_app, settings, prepare_process, end)
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
    announce(settings.http, VARIABLES)
    log.info(
        "api starts",
        workers=workers,
        host=settings.http.host,
        port=settings.http.port,
        settings=shown(settings),
    )
    if workers == 1:
        serve_until_signal(config, end)
        return
    folder = Path(tempfile.mkdtemp(prefix="ferroflux-metrics-"))
    # The library reads this variable as it is imported: the workers are new processes and find it set.
    os.environ[MULTIPROCESS_FOLDER] = str(folder)
    try:
        Multiprocess(config, sockets=[config.bind_socket()]).run()
    finally:
        del os.environ[MULTIPROCESS_FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


def _worker_app(settings: ApiSettings, prepare_process: Callable[[], None] | None, end: ProcessEnd) -> FastAPI:
    if prepare_process is not None:
        prepare_process()
    registry = CollectorRegistry()
    return build_app(settings, registry=registry, supervisor=Supervisor(TaskMetrics(registry), on_failure=end))
