"""The agent under test: the shipped search on a catalogue's indexes, threads and orders in memory, and the planner chosen."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from langgraph.checkpoint.memory import InMemorySaver

from agent.bootstrap import build_planner
from agent.catalogue.local import LocalCatalogue
from agent.conversation.limits import AgentLimits
from agent.planners.deterministic import DeterministicPlanner
from agent.ports import Planner
from agent.settings import DatabaseSettings, PlannerSettings
from agent.storage.database import Database
from agent.testing import CountingOrders, LocalGuard, NoRecord
from agent.turns.graph import build_graph
from agent.turns.runtime import AgentRuntime
from retrieval.serving.searcher import Searcher
from runtime.clock import SystemClock
from schemas.errors import ConfigurationError
from training.systems.indexed_catalogue import IndexedCatalogue
from training.systems.settings import EvaluationSettings


@dataclass(frozen=True, slots=True)
class AgentUnderTest:
    """An agent to talk to, and where its orders go."""

    runtime: AgentRuntime
    orders: CountingOrders


@contextmanager
def agent_under_test(catalogue: IndexedCatalogue, planner: Planner) -> Iterator[AgentUnderTest]:
    """The agent over an indexed catalogue. Queries are encoded afresh, so that latencies are those of serving."""
    settings = EvaluationSettings.patient()
    reader = catalogue.open_reader(settings.text.weights)
    searcher = Searcher(
        vectors=catalogue.vectors, encoder=catalogue.encoder.uncached, reader=reader, settings=settings.search
    )
    clock, orders, limits = SystemClock(), CountingOrders(), AgentLimits()
    graph = build_graph(
        planner=planner,
        search=LocalCatalogue(searcher.lease),
        orders=orders,
        clock=clock,
        limits=limits,
        checkpointer=InMemorySaver(),
    )
    try:
        yield AgentUnderTest(
            AgentRuntime(graph, clock=clock, limits=limits, guard=LocalGuard(), record=NoRecord()), orders
        )
    finally:
        searcher.close()


class PlannerChoice(StrEnum):
    """The planners that can be measured."""

    DETERMINISTIC = "deterministic"
    CONFIGURED = "configured"


@asynccontextmanager
async def open_planner(choice: PlannerChoice, settings: PlannerSettings) -> AsyncIterator[Planner]:
    """The planner, for as long as the block lasts.

    A configured one counts its tokens in a database of its own: an evaluation is capped by the settings as a tenant's day
    is, and takes nothing of the day of a real one.

    Raises:
        ConfigurationError: the configured planner is asked for and no model is configured, or one that cannot be used.
    """
    if choice is PlannerChoice.DETERMINISTIC:
        yield DeterministicPlanner()
        return
    if not settings.cheap.configured:
        raise ConfigurationError(
            "no language model is configured: set FERROFLUX_AGENT__PLANNER__CHEAP__NAME, and its provider or base_url"
        )
    with tempfile.TemporaryDirectory(prefix="ferroflux-eval-") as folder:
        database = await Database.open(DatabaseSettings(directory=Path(folder)))
        try:
            # Importing a provider's package blocks for a second.
            yield await asyncio.to_thread(build_planner, settings, database)
        finally:
            await database.close()
