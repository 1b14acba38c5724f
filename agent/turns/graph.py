"""The graph of one turn: begin → bypass or plan → tools → plan → … → reply. ReAct, with bounds on every way round.

Nodes are small and give what changes; a checkpoint follows each. A node that is run again after a crash starts from the
checkpoint before it, so it does what it would have done; the only effects beyond the state are the order sink's, which
are safe to repeat.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent.conversation.limits import AgentLimits, OrderSizeLimit
from agent.conversation.state import ThreadState, ToolCall
from agent.ports import CatalogueSearch, OrderSink, Planner
from agent.tools.dispatch import ToolRunner
from agent.turns.failures import DependencyOrders, DependencySearch
from agent.turns.planning import PlanNode, begin
from agent.turns.replying import ReplyNode
from runtime.clock import Clock

TurnGraph = CompiledStateGraph[ThreadState, None, ThreadState, ThreadState]
NodeFunction = Callable[[ThreadState], Awaitable[dict[str, Any]]]

BEGIN: Final = "begin"
BYPASS: Final = "bypass"
PLAN: Final = "plan"
TOOLS: Final = "tools"
REPLY: Final = "reply"


def build_graph(
    *,
    planner: Planner,
    search: CatalogueSearch,
    orders: OrderSink,
    clock: Clock,
    limits: AgentLimits | None = None,
    size_limit: OrderSizeLimit | None = None,
    checkpointer: BaseCheckpointSaver[Any] | None = None,
) -> TurnGraph:
    """Compile the graph. Each invocation is one turn of the thread that the configuration names.

    `size_limit` says how large an order may become where that may change while the process runs.
    """
    bounds = limits or AgentLimits()
    search, orders = DependencySearch(search), DependencyOrders(orders)
    runner = ToolRunner(search, orders, clock, bounds, size_limit or OrderSizeLimit(bounds.order_bytes))
    graph: StateGraph[ThreadState, None, ThreadState, ThreadState] = StateGraph(ThreadState)
    nodes: dict[str, Any] = {
        BEGIN: begin,
        BYPASS: _bypass,
        PLAN: PlanNode(planner, search, clock, bounds),
        TOOLS: _tool_node(runner, bounds),
        REPLY: ReplyNode(search, orders, clock, bounds),
    }
    for name, node in nodes.items():
        graph.add_node(name, node)
    graph.add_edge(START, BEGIN)
    graph.add_conditional_edges(BEGIN, _after_begin, {BYPASS: BYPASS, PLAN: PLAN, TOOLS: TOOLS, REPLY: REPLY})
    graph.add_conditional_edges(BYPASS, _tools_or_reply, {TOOLS: TOOLS, REPLY: REPLY})
    graph.add_conditional_edges(PLAN, _tools_or_reply, {TOOLS: TOOLS, REPLY: REPLY})
    graph.add_conditional_edges(TOOLS, _after_tools, {PLAN: PLAN, REPLY: REPLY})
    graph.add_edge(REPLY, END)
    return graph.compile(checkpointer=checkpointer)


async def _bypass(state: ThreadState) -> dict[str, Any]:
    """Search alone answers: the message is the query."""
    work = state["work"]
    call = ToolCall(id=f"{state.get('turn', 0)}.0.0", name="catalog_search", args={"query": work["message"]})
    return {"work": {**work, "pending": [call]}}


def _tool_node(runner: ToolRunner, limits: AgentLimits) -> NodeFunction:
    async def tools(state: ThreadState) -> dict[str, Any]:
        """Run what was planned, as far as the bound on calls allows."""
        work = state["work"]
        left = max(0, limits.tool_calls - len(work["results"]))
        calls = work["pending"][:left]
        stopped = "tool_calls" if len(calls) < len(work["pending"]) else work["stopped"]
        changed, results = await runner.run(state, calls)
        done = {**work, "pending": [], "results": [*work["results"], *results], "stopped": stopped}
        return {name: value for name, value in changed.items() if value is not state.get(name)} | {"work": done}

    return tools


def _after_begin(state: ThreadState) -> Literal["bypass", "plan", "tools", "reply"]:
    work = state["work"]
    if work["pending"]:
        return "tools"
    if work["bypassed"]:
        return "bypass" if work["note"] == "" else "reply"
    return "plan"


def _tools_or_reply(state: ThreadState) -> Literal["tools", "reply"]:
    return "tools" if state["work"]["pending"] else "reply"


def _after_tools(state: ThreadState) -> Literal["plan", "reply"]:
    """Back to the planner, unless none has a part in this turn or a bound was reached."""
    work = state["work"]
    return "reply" if work["bypassed"] or work["confirm_order"] or work["stopped"] else "plan"
