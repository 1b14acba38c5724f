"""The agent over the lab's bench: the shipped search on a catalogue's indexes, threads and orders in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from langgraph.checkpoint.memory import InMemorySaver

from agent.catalogue.local import LocalCatalogue
from agent.clock import SystemClock
from agent.conversation.limits import AgentLimits
from agent.evaluation.orders import CountingOrders
from agent.graph import build_graph
from agent.ports import Planner
from agent.runtime import AgentRuntime
from retrieval.serving.searcher import Searcher
from training.systems.bench import Bench
from training.systems.settings import LabSettings


@dataclass(frozen=True, slots=True)
class ChatBench:
    """An agent to talk to, and where its orders go."""

    runtime: AgentRuntime
    orders: CountingOrders


@contextmanager
def chat_bench(bench: Bench, planner: Planner) -> Iterator[ChatBench]:
    """The agent over a bench. Queries are encoded afresh, so that latencies are those of serving."""
    settings = LabSettings.patient()
    reader = bench.open_reader(settings.text.weights)
    searcher = Searcher(vectors=bench.vectors, encoder=bench.encoder.uncached, reader=reader, settings=settings.search)
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
        yield ChatBench(AgentRuntime(graph, clock=clock, limits=limits), orders)
    finally:
        searcher.close()
