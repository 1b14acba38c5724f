"""The query worker's composition root: from settings to the application, and to one or several serving processes."""

import functools
from collections.abc import Callable, Mapping
from typing import Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from query_api.http.app import create_app
from query_api.http.metrics import ApiMetrics
from query_api.settings import ApiSettings, HttpSettings
from query_api.worker import Worker
from retrieval.rerank.port import Reranker
from retrieval.serving.parts import ServingSettings
from retrieval.serving.searchers import HeldOf, Searchers
from retrieval.vectors.settings import VectorStoreKind
from runtime.admission.bounds import Bound
from runtime.admission.middleware import Doors
from runtime.event_loop import ProcessEnd
from runtime.http.server import serve_workers
from runtime.observability.metrics import TaskMetrics
from runtime.observability.redaction import shown
from runtime.rights.openness import announce
from runtime.supervision import Supervisor
from schemas.api.routes import RouteClass
from schemas.errors import ConfigurationError

log = structlog.get_logger(__name__)

VARIABLES: Final = "FERROFLUX_HTTP__"
"""What the settings of the API's address and keys begin with."""

_WORKER_ANSWERS_WITHIN_S: Final = 60
"""A worker answers its supervisor only once it has imported this program. On a busy machine that took longer than uvicorn's
five seconds, and the worker was killed and started again, for ever."""


def build_app(
    settings: ApiSettings,
    *,
    held_of: HeldOf | None = None,
    reranker: Reranker | None = None,
    registry: CollectorRegistry | None = None,
    tailed: bool = True,
    reports: bool = True,
    larger_bodies: Mapping[str, int] | None = None,
    supervisor: Supervisor | None = None,
) -> FastAPI:
    """The application over the stores that the settings name, or over those that a launcher holds.

    What is held stays the launcher's to close, and must be usable from the event loop that serves the application.
    `tailed` says that a tailer reports in `settings.text.directory`; the worker is ready only when that report says that
    the replica is whole. `reports` is off where a launcher asks its worker: processes of their own report by file.
    `larger_bodies` are the paths of routes that the launcher adds and that take more bytes than searches do.
    The background tasks run under `supervisor`, which the application stops; its failure is to end the process.

    Raises:
        ConfigurationError: the settings name Qdrant Edge, which this process cannot share with the indexer's.
    """
    if held_of is None and settings.vectors.kind is VectorStoreKind.EDGE:
        raise ConfigurationError(
            "Qdrant Edge belongs to one process, so a search API of its own cannot read it: set "
            "FERROFLUX_VECTORS__KIND=qdrant and FERROFLUX_VECTORS__URL, or run everything in one with `ferroflux up`"
        )
    registry = registry or CollectorRegistry()
    metrics = ApiMetrics(registry)
    supervisor = supervisor or Supervisor(TaskMetrics(registry))
    text = settings.text
    serving = ServingSettings(
        settings.vectors,
        settings.encoder,
        text.index,
        settings.search,
        refresh_s=text.refresh_s,
        heartbeat_s=text.heartbeat_s,
        freshness_window_s=text.freshness_window_s,
        tailed=tailed,
    )
    searchers = Searchers(serving, supervisor, held_of=held_of, reranker=reranker, on_visible=metrics.visible)
    worker = Worker(searchers, supervisor, reports=text.reports_folder if tailed and reports else None)
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
    announce(settings.http, VARIABLES)
    log.info(
        "api starts",
        workers=workers,
        host=settings.http.host,
        port=settings.http.port,
        settings=shown(settings),
    )
    app = functools.partial(_worker_app, settings, prepare_process, end)
    serve_workers(app, settings.http, workers, end, name="api", answers_within_s=_WORKER_ANSWERS_WITHIN_S)


def _worker_app(settings: ApiSettings, prepare_process: Callable[[], None] | None, end: ProcessEnd) -> FastAPI:
    if prepare_process is not None:
        prepare_process()
    registry = CollectorRegistry()
    return build_app(settings, registry=registry, supervisor=Supervisor(TaskMetrics(registry), on_failure=end))
