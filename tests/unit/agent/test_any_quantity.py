"""Whatever a planner gives as a quantity, an order can be shown and submitted: no number stops a conversation."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.conversation.order import Order
from agent.orders.event import submitted_event
from agent.planners.deterministic import DeterministicPlanner
from agent.ports import OrderReceipt, PlannedCall, PlannerStep, TurnContext
from agent.testing import CountingOrders
from tests.support.agent.catalogue import MemoryCatalogue, product
from tests.support.agent.session import Session, lines

pytestmark = pytest.mark.slow

DOZENS = product("DOC-1", "Guantes de carnaza", "30", unit="DOC")
VALUES = (
    st.integers(-(10**40), 10**40)
    | st.floats()
    | st.decimals().map(str)
    | st.sampled_from(
        ["0.0001", "1e-9", "1e400", "NaN", "-1", "0", "0.0004", "0.5", "100000", "100000.4", "1" * 5000, "½", "media"]
    )
)
ARGUMENTS = st.tuples(
    st.sampled_from(["order_add", "order_update"]),
    st.sampled_from(["MAR-1", "CAB-1", "DOC-1"]),
    VALUES,
    st.sampled_from(["", "pie", "metro", "caja", "quintal"]),
    st.sampled_from(["", "docena", "1000", "9" * 5000]),
)


class Calling(DeterministicPlanner):
    """Makes the calls that it was given at `pide`; else the rules."""

    calls: tuple[PlannedCall, ...] = ()

    async def plan(self, context: TurnContext) -> PlannerStep:
        if context.message != "por favor pide":
            return await super().plan(context)
        return PlannerStep(() if context.results else self.calls, planner="calling")


class Rendering(CountingOrders):
    """Orders whose record is made at the submission, as the store does."""

    async def submit(self, order: Order) -> OrderReceipt:
        values = {name: getattr(order, name) for name in Order.__slots__} | {"submitted_us": 1}
        assert submitted_event(Order(**values)).lines
        return await super().submit(order)


@settings(max_examples=8, deadline=None)
@given(st.lists(ARGUMENTS, min_size=4, max_size=16))
def test_an_order_is_filled_shown_and_submitted_or_the_number_is_refused(given_calls: list[tuple[Any, ...]]) -> None:
    planner = Calling()
    planner.calls = tuple(
        PlannedCall(tool, {"sku": sku, "quantity": value, "package": package, "lot": lot})
        for tool, sku, value, package, lot in given_calls
    )

    async def talk() -> None:
        session = Session(planner=planner, catalogue=MemoryCatalogue([*MemoryCatalogue().products.values(), DOZENS]))
        session.orders = Rendering()
        session.runtime = session.worker()
        await session.say("agrega 2 MAR-2")
        reply = await session.say("por favor pide")
        assert reply.metadata.stopped == ""
        assert all(quantity > 0 for quantity in lines(reply).values())
        done = await session.say("confirmo")
        assert len(done.submitted) == 1
        assert (await session.say("hola")).turn == 4

    with capture_logs():
        asyncio.run(talk())


@pytest.mark.parametrize(
    ("message", "words"),
    [("agrega 0.0001 MAR-1", "demasiado pequeña"), ("agrega 0,0001 de MAR-1", "demasiado pequeña")],
)
async def test_what_would_round_to_nothing_is_asked_back(message: str, words: str) -> None:
    with capture_logs():
        reply = await Session().say(message)
    assert words in reply.text
    assert "¿Cuánto quiere?" in reply.text
    assert lines(reply) == {}


async def test_a_thousandth_is_no_thousand() -> None:
    with capture_logs():
        reply = await Session().say("agrega 0.001 MAR-1")
    assert [str(quantity) for quantity in lines(reply).values()] == ["0.001"]
