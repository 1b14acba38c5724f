"""What follows from the table of tools: guards, refusals, words; and catalogue hints for planners that read them alone."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.ports import PlannedCall, PlannerStep, TurnContext
from agent.tools.dispatch import _GUARDS, TOOLS
from agent.tools.registry import Effect, InvalidCallError, ToolRefusedError
from tests.support.agent.catalogue import MemoryCatalogue
from tests.support.agent.session import Session, lines


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


class Calling:
    """A planner that makes its calls in every turn."""

    name = "calling"

    def __init__(self, *calls: PlannedCall, reads_hints: bool = False) -> None:
        self.reads_hints = reads_hints
        self.calls = calls
        self.hints: list[tuple[str, ...]] = []

    async def plan(self, context: TurnContext) -> PlannerStep:
        self.hints.append(context.hints)
        return PlannerStep(() if context.results else self.calls, planner=self.name)


def test_what_cannot_be_taken_back_has_a_guard() -> None:
    assert TOOLS.names(Effect.GUARDED) == set(_GUARDS)


@pytest.mark.parametrize("arguments", [{"sku": "A"}, {"sku": "", "quantity": 1}, {"sku": "A", "quantity": True}])
def test_arguments_that_are_not_valid_are_refused_by_name(arguments: dict[str, Any]) -> None:
    tool = TOOLS.get("order_add")
    assert tool is not None
    with pytest.raises(ToolRefusedError) as refused:
        tool.read(arguments)
    assert refused.value.reason == "invalid_argument"
    with pytest.raises(InvalidCallError):
        TOOLS.check("order_add", arguments)


async def test_no_planner_empties_an_order_that_the_person_did_not_ask_to_empty() -> None:
    session = Session()
    await session.say("agrega 2 MAR-1")
    session.planner = Calling(PlannedCall("order_clear", {}))
    session.runtime = session.worker()
    kept = await session.say("dame otro martillo")
    assert (lines(kept), kept.metadata.tools[0].reason) == ({"MAR-1": 2}, "not_confirmed")
    assert lines(await session.say("cancela el pedido")) == {}


async def test_a_line_that_is_set_to_0_is_said_to_be_removed() -> None:
    session = Session()
    await session.say("agrega 2 MAR-1")
    session.planner = Calling(PlannedCall("order_update", {"sku": "MAR-1", "quantity": 0}))
    session.runtime = session.worker()
    reply = await session.say("el martillo a cero")
    assert (lines(reply), reply.metadata.stopped) == ({}, "")
    assert "Quitado" in reply.text


@pytest.mark.parametrize("reads", [True, False])
async def test_words_of_the_catalogue_are_fetched_for_a_planner_that_reads_them_alone(reads: bool) -> None:
    class Asked(MemoryCatalogue):
        asked = 0

        async def vocabulary(self, tenant, text, *, limit) -> list[str]:
            self.asked += 1
            return await super().vocabulary(tenant, text, limit=limit)

    planner, catalogue = Calling(reads_hints=reads), Asked()
    await Session(planner=planner, catalogue=catalogue).say("busco un martillo de uña")
    assert (catalogue.asked, planner.hints) == (int(reads), [("martillo",) if reads else ()])
