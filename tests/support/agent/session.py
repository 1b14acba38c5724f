"""A conversation with a whole agent in memory: its graph, its orders and its threads are in a test's reach."""

from decimal import Decimal
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver

from agent.checkpoints.port import store_failures_as_ours
from agent.conversation.limits import AgentLimits
from agent.conversation.turn import TurnRequest
from agent.planners.deterministic import DeterministicPlanner
from agent.testing import CountingOrders, LocalGuard, NoRecord
from agent.turns.graph import build_graph
from agent.turns.runtime import AgentRuntime
from runtime.clock import SystemClock
from schemas.api.chat import TurnReply
from tests.support.agent.catalogue import MemoryCatalogue


class Session:
    """A conversation with an agent whose parts a test can reach."""

    def __init__(
        self, *, planner: Any = None, catalogue: MemoryCatalogue | None = None, limits: AgentLimits | None = None
    ) -> None:
        self.catalogue = catalogue or MemoryCatalogue()
        self.orders = CountingOrders()
        self.saver = InMemorySaver()
        self.planner = planner or DeterministicPlanner()
        self.limits = limits
        self.runtime = self.worker()

    def worker(self, orders: Any = None, catalogue: Any = None) -> AgentRuntime:
        """Another worker over the same threads."""
        clock = SystemClock()
        graph = build_graph(
            planner=self.planner,
            search=catalogue or self.catalogue,
            orders=orders or self.orders,
            clock=clock,
            limits=self.limits,
            checkpointer=self.saver,
        )
        return AgentRuntime(
            graph,
            clock=clock,
            limits=self.limits,
            guard=LocalGuard(),
            record=NoRecord(),
            store_failures=store_failures_as_ours,
        )

    async def say(self, message: str, **changes: Any) -> TurnReply:
        return await self.runtime.turn(
            TurnRequest(**{"tenant": "norte", "thread": "t1", "message": message, **changes})
        )


def lines(reply: TurnReply) -> dict[str, Decimal]:
    return {line.sku: line.quantity for line in reply.order.lines}
