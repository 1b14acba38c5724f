"""What every store of threads must give: a small graph with a tool that counts, an interrupt, and a crash."""

import operator
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

from agent.checkpoints.port import Checkpoints, UnknownStateTypeError
from agent.conversation.thread_names import thread_key
from schemas.identity import TenantId

NORTE, SUR = TenantId("norte"), TenantId("sur")
Opened = Callable[[], AbstractAsyncContextManager[Checkpoints]]


class State(TypedDict, total=False):
    message: str
    lines: Annotated[list[dict[str, Any]], operator.add]
    confirmed: str


@dataclass
class Foreign:
    """A type that no allow-list knows."""

    command: str


class Killed(BaseException):
    """What a process's death looks like to the graph: nothing that it could catch."""


class Agent:
    """A graph over one store. `effects` counts what the tool did; `dies` kills the process after that."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.effects: list[str] = []
        self.dies = False
        graph = StateGraph(State)
        graph.add_node("tool", self._tool)
        graph.add_node("after", self._after)
        graph.add_node("confirm", self._confirm)
        graph.add_edge(START, "tool")
        graph.add_edge("tool", "after")
        graph.add_conditional_edges("after", lambda state: "confirm" if state["message"] == "confirmo" else END)
        graph.add_edge("confirm", END)
        self.graph = graph.compile(checkpointer=checkpoints.saver)

    async def say(self, message: str | None, *, thread: str = "thread-1", tenant: TenantId = NORTE) -> dict[str, Any]:
        given = None if message is None else {"message": message}
        return await self.graph.ainvoke(given, self.config(thread, tenant), durability="sync")

    async def answer(self, resume: str, *, thread: str = "thread-1") -> dict[str, Any]:
        return await self.graph.ainvoke(Command(resume=resume), self.config(thread), durability="sync")

    async def skus(self, thread: str = "thread-1", tenant: TenantId = NORTE) -> list[str]:
        snapshot = await self.graph.aget_state(self.config(thread, tenant))
        return [line["sku"] for line in snapshot.values.get("lines", [])]

    async def history(self, thread: str = "thread-1") -> int:
        return len([one async for one in self.graph.aget_state_history(self.config(thread))])

    @staticmethod
    def config(thread: str, tenant: TenantId = NORTE) -> dict[str, Any]:
        return {"configurable": {"thread_id": thread_key(tenant, thread)}}

    async def _tool(self, state: State) -> State:
        self.effects.append(state["message"])
        if state["message"] == "foreign":
            return {"lines": [{"sku": Foreign("rm")}]}
        return {"lines": [{"sku": state["message"], "quantity": "2", "price": None, "seen": [1, 2.5, True]}]}

    async def _after(self, state: State) -> State:
        if self.dies:
            raise Killed
        return {}

    async def _confirm(self, state: State) -> State:
        return {"confirmed": interrupt({"order": state["lines"][0]["sku"]})}


class CheckpointerContract:
    @pytest.fixture
    async def opened(self) -> Opened:
        """Opens the same store once more: what another process would see."""
        raise AssertionError("each store gives its own")

    @pytest.fixture
    async def checkpoints(self, opened) -> AsyncIterator[Checkpoints]:
        async with opened() as checkpoints:
            yield checkpoints

    @pytest.fixture
    def agent(self, checkpoints) -> Agent:
        return Agent(checkpoints)

    async def test_a_turn_goes_on_from_the_turn_before(self, agent) -> None:
        await agent.say("A")
        await agent.say("B")
        assert await agent.skus() == ["A", "B"]

    async def test_two_processes_alternate_the_turns_of_one_thread(self, agent, opened) -> None:
        async with opened() as elsewhere:
            other = Agent(elsewhere)
            for number in range(6):
                await (agent, other)[number % 2].say(f"S{number}")
            assert await agent.skus() == await other.skus() == [f"S{number}" for number in range(6)]

    async def test_the_next_worker_finishes_a_turn_that_died_and_repeats_no_effect(self, agent, opened) -> None:
        agent.dies = True
        with pytest.raises(Killed):
            await agent.say("A")
        async with opened() as elsewhere:
            other = Agent(elsewhere)
            await other.say(None)
            assert await other.skus() == ["A"]
            assert (agent.effects, other.effects) == (["A"], [])

    async def test_a_question_to_the_person_waits_and_another_process_takes_the_answer(self, agent, opened) -> None:
        asked = await agent.say("confirmo")
        assert asked["__interrupt__"][0].value == {"order": "confirmo"}
        async with opened() as elsewhere:
            assert (await Agent(elsewhere).answer("yes"))["confirmed"] == "yes"

    async def test_trimming_keeps_the_state_and_drops_the_steps(self, agent, checkpoints) -> None:
        for sku in ("A", "B", "C"):
            await agent.say(sku)
        before = await agent.history()
        await checkpoints.trim([thread_key(NORTE, "thread-1")])
        assert (await agent.history()) == 1 < before
        await agent.say("D")
        assert await agent.skus() == ["A", "B", "C", "D"]

    async def test_trimming_keeps_a_question_that_waits(self, agent, checkpoints) -> None:
        await agent.say("A")
        await agent.say("confirmo")
        await checkpoints.trim([thread_key(NORTE, "thread-1")])
        assert (await agent.answer("no"))["confirmed"] == "no"

    async def test_trimming_leaves_other_threads_alone(self, agent, checkpoints) -> None:
        await agent.say("A", thread="thread-1")
        await agent.say("B", thread="thread-2")
        before = await agent.history("thread-2")
        await checkpoints.trim([thread_key(NORTE, "thread-1"), thread_key(NORTE, "never-was")])
        assert await agent.history("thread-2") == before

    async def test_a_deleted_thread_is_gone_and_only_that(self, agent, checkpoints) -> None:
        await agent.say("A", thread="thread-1")
        await agent.say("B", thread="thread-2")
        await checkpoints.delete([thread_key(NORTE, "thread-1"), thread_key(NORTE, "never-was")])
        assert await agent.skus("thread-1") == []
        assert await agent.history("thread-1") == 0
        assert await agent.skus("thread-2") == ["B"]

    async def test_a_thread_of_one_tenant_is_another_thread_for_another(self, agent, checkpoints) -> None:
        await agent.say("A", tenant=NORTE)
        assert await agent.skus(tenant=SUR) == []
        await agent.say("B", tenant=SUR)
        await checkpoints.delete([thread_key(SUR, "thread-1")])
        assert await agent.skus(tenant=NORTE) == ["A"]

    async def test_a_state_with_a_type_that_is_not_allowed_is_refused(self, agent) -> None:
        await agent.say("A")
        with pytest.raises(UnknownStateTypeError):
            await agent.say("foreign")
        assert await agent.skus() == ["A"]

    async def test_text_of_any_kind_comes_back_as_it_was(self, agent) -> None:
        texts = ['3/4" ñandú 鉄 🔩', "{'lc': 2}", "tab\tand\nline", "a" * 20_000]
        for text in texts:
            await agent.say(text)
        assert await agent.skus() == texts

    async def test_it_answers_a_ping(self, checkpoints) -> None:
        await checkpoints.ping()
