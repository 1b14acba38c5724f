"""The agent's composition root: from settings to the application, and to one or several serving processes."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from agent.api.app import create_app
from agent.catalogue.opening import open_catalogue
from agent.chat import ChatService
from agent.checkpoints.port import store_failures_as_ours
from agent.checkpoints.servers import open_checkpoints
from agent.conversation.limits import OrderSizeLimit
from agent.conversation.thread_names import ThreadNames
from agent.metrics import AgentMetrics
from agent.orders.outbox import Outbox
from agent.orders.publishing import KafkaOrderPublisher
from agent.orders.relay import RELAY_BACKOFF, OrderService, OutboxRelay
from agent.orders.store import OrderStore
from agent.planners.cascade import CascadePlanner
from agent.planners.deterministic import DeterministicPlanner
from agent.planners.model import BoundModel, build_model
from agent.ports import CatalogueSearch, Planner
from agent.process import AgentParts, AgentProcess
from agent.settings import AgentSettings, PlannerSettings
from agent.storage.database import Database, installation_secret
from agent.storage.usage import DatabaseLedger
from agent.threads.leases import ThreadLeases
from agent.threads.log import DatabaseThreadRecord, TurnLog
from agent.threads.pruning import PRUNING_BACKOFF, ThreadPruner
from agent.threads.registry import ThreadRegistry
from agent.tools.dispatch import TOOLS
from agent.tracing import TurnSpans
from agent.turns.graph import build_graph
from agent.turns.runtime import AgentRuntime
from runtime.admission.middleware import Doors
from runtime.clock import SystemClock
from runtime.event_loop import ProcessEnd
from runtime.http.server import serve_workers
from runtime.observability.metrics import TaskMetrics
from runtime.observability.redaction import shown
from runtime.rights.openness import announce
from runtime.supervision import Supervisor
from schemas.errors import FerrofluxError
from schemas.identity import TenantId

log = structlog.get_logger(__name__)

VARIABLES: Final = "FERROFLUX_AGENT__HTTP__"
"""What the settings of the chat API's address and keys begin with."""

_TOPIC_S: Final = 5.0
_RESUMED_SHARE: Final = 0.5
"""Of a turn's time, what a turn that was cut off gets to its end: the rest is for the message that found it."""


def build_agent_app(
    settings: AgentSettings,
    *,
    catalogue: CatalogueSearch | None = None,
    registry: CollectorRegistry | None = None,
    supervisor: Supervisor | None = None,
    doors: Doors | None = None,
    has_tenant: Callable[[TenantId], bool] = lambda _: True,
) -> FastAPI:
    """The application over what the settings name, or over a catalogue that a launcher passes in and keeps.

    The background tasks run under `supervisor`, which the application stops; its failure is to end the process. A launcher
    that serves more than this passes its `doors`, too, so that what costs alike is bounded together, and `has_tenant`, which
    an agent of its own cannot tell.
    """
    registry = registry or CollectorRegistry()
    http = settings.agent.http
    metrics = AgentMetrics(registry, http.api_keys)
    tasks = supervisor or Supervisor(TaskMetrics(registry))

    async def open_parts(stack: AsyncExitStack) -> AgentParts:
        return await _open_parts(settings, catalogue, metrics, stack, tasks)

    process = AgentProcess(open_parts, backlog_s=settings.agent.orders.backlog_s, supervisor=tasks)
    return create_app(process, http, metrics, doors=doors, has_tenant=has_tenant)


def build_planner(settings: PlannerSettings, database: Database) -> Planner:
    """The built-in planner, or the cascade where a model is configured.

    Raises:
        ConfigurationError: a model is configured that cannot be used.
    """
    builtin = DeterministicPlanner()
    configured = [model for model in (settings.cheap, settings.strong) if model.configured]
    if not configured:
        return builtin
    models = [BoundModel(build_model(one), TOOLS.to_openai(), one) for one in configured]
    return CascadePlanner(models, builtin, DatabaseLedger(database), settings)


async def _open_parts(
    settings: AgentSettings,
    catalogue: CatalogueSearch | None,
    metrics: AgentMetrics,
    stack: AsyncExitStack,
    supervisor: Supervisor,
) -> AgentParts:
    own = settings.agent
    database = await Database.open(own.database)
    stack.push_async_callback(database.close)
    checkpoints = await open_checkpoints(own.checkpoints, own.database)
    stack.push_async_callback(checkpoints.close)
    if catalogue is not None:
        search = catalogue
    else:
        search = await open_catalogue(settings, stack, supervisor, counted=metrics.set_apart)
    # Importing a provider's package blocks for a second.
    planner = await asyncio.to_thread(build_planner, own.planner, database)
    spans = TurnSpans.of(own.observation)
    stack.push_async_callback(asyncio.to_thread, spans.close)
    leases = ThreadLeases(database, most=own.limits.threads)
    store, outbox, turns = OrderStore(database), Outbox(database), TurnLog(database)
    size_limit = OrderSizeLimit(own.limits.order_bytes)
    publisher = KafkaOrderPublisher(settings.kafka, own.orders.topic, size_limit)
    stack.push_async_callback(publisher.close)
    relay = OutboxRelay(outbox, publisher, own.orders, size_limit=size_limit, counted=metrics.set_apart)

    def submitted(_order: object) -> None:
        metrics.submitted()
        relay.wake()

    clock = SystemClock()
    graph = build_graph(
        planner=planner,
        search=search,
        orders=OrderService(store, submitted),
        clock=clock,
        limits=own.limits,
        size_limit=size_limit,
        checkpointer=checkpoints.saver,
    )
    threads = ThreadRegistry(database, checkpoints, leases)
    kept = DatabaseThreadRecord(turns, store, threads.apart, metrics.set_apart, kept_messages=own.limits.kept_messages)
    runtime = AgentRuntime(
        graph,
        clock=clock,
        limits=own.limits,
        guard=leases,
        record=kept,
        resume_s=own.http.turn_s * _RESUMED_SHARE,
        store_failures=store_failures_as_ours,
    )
    pruner = ThreadPruner(threads, own.checkpoints, counted=metrics.set_apart)
    # Turns are answered without either: orders are safe in the outbox, and expired threads go later.
    # A pruner that fails at too many threads rests and is told in readiness; conversations need not end for that.
    pruning = supervisor.start(
        "thread-pruner", pruner.run, backoff=PRUNING_BACKOFF, ready_without=True, decides=lambda: False
    )
    stack.push_async_callback(pruning.stop)
    if own.orders.publish:
        await _check_topic(publisher)
        relaying = supervisor.start("order-relay", relay.run, backoff=RELAY_BACKOFF, ready_without=True)
        stack.push_async_callback(relaying.stop)
    names = ThreadNames(await installation_secret(database, "threads"))
    chat = ChatService(runtime, turns, threads, store, metrics, spans, names=names, turn_s=own.http.turn_s)
    return AgentParts(chat, database, checkpoints, outbox, lambda: runtime.defect)


async def _check_topic(publisher: KafkaOrderPublisher) -> None:
    """Learn what the orders topic takes. A broker that is away stops nobody from ordering: it is asked again with the first order."""
    try:
        async with asyncio.timeout(_TOPIC_S):
            await publisher.prepare()
    except (FerrofluxError, TimeoutError) as error:
        log.warning("orders topic not checked yet", error=str(error) or "no broker answered in time")


def run_agent(settings: AgentSettings, workers: int = 1, *, prepare_process: Callable[[], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the turns that run.

    Several workers are processes that share the port; any of them serves any turn. `prepare_process` (logging, say) is
    called in each process before anything else; with several workers it must be a module's function.

    Raises:
        FatalError: the one worker's background task failed for good.
    """
    end = ProcessEnd()
    http = settings.agent.http
    announce(http, VARIABLES)
    log.info("agent starts", workers=workers, settings=shown(settings.agent))
    serve_workers(functools.partial(_worker_app, settings, prepare_process, end), http, workers, end, name="agent")


def _worker_app(settings: AgentSettings, prepare_process: Callable[[], None] | None, end: ProcessEnd) -> FastAPI:
    if prepare_process is not None:
        prepare_process()
    registry = CollectorRegistry()
    return build_agent_app(settings, registry=registry, supervisor=Supervisor(TaskMetrics(registry), on_failure=end))
