"""An order is bounded while it is filled: whatever its lines hold, its record is no larger than what was counted."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from agent.conversation.limits import AgentLimits, OrderSizeLimit
from agent.conversation.order import draft_bytes, empty_draft, order_of, with_quantity
from agent.conversation.products import Product
from agent.conversation.quantity import LARGEST
from agent.orders.event import submitted_event
from agent.ports import PlannedCall, PlannerStep
from schemas.api.limits import MAX_PRICE
from schemas.identity import TenantId
from tests.support.agent.catalogue import MemoryCatalogue, product
from tests.support.agent.session import Session, lines


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


NORTE = TenantId("norte")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=600)


def record(draft, products) -> bytes:
    order = order_of(draft, NORTE, "t" * 64, "c" * 128, {each.sku: each for each in products})
    return submitted_event(_submitted(order)).model_dump_json().encode()


def _submitted(order):
    return type(order)(
        **{name: getattr(order, name) for name in order.__slots__} | {"submitted_us": 1_800_000_000_000_001}
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), min_size=1, max_size=6))
def test_a_record_is_never_larger_than_what_its_lines_were_counted_for(texts) -> None:
    draft, products = empty_draft("norte", "t" * 64, 1), []
    for number, (title, unit, pack) in enumerate(texts):
        sold = Product(
            sku=f"{number}" + "k" * 250,
            title=title,
            unit=unit,
            price=Decimal(MAX_PRICE) - Decimal("0.000001"),
            currency="MXN",
        )
        draft = with_quantity(draft, sold, Decimal(LARGEST) - Decimal("0.001"), pack=pack)
        products.append(sold)
    assert len(record(draft, products)) <= draft_bytes(draft)


def test_200_lines_of_the_longest_titles_fit_what_a_topic_takes_by_default() -> None:
    draft, products = empty_draft("norte", "t1", 1), []
    for number in range(AgentLimits().order_lines):
        sold = product(f"{number:03}" + "ñ" * 253, "鉄" * 100_000, unit="ñ" * 1_000)
        draft = with_quantity(draft, sold, Decimal(3), pack="ñ" * 1_000)
        products.append(sold)
    assert len(record(draft, products)) <= AgentLimits().order_bytes < 1024 * 1024


class Adding:
    """A planner that adds the products that a message names."""

    name = "adding"
    reads_hints = False

    async def plan(self, context) -> PlannerStep:
        if context.results:
            return PlannerStep(planner=self.name)
        calls = [PlannedCall("order_add", {"sku": sku, "quantity": "1"}) for sku in context.message.split()]
        return PlannerStep(tuple(calls), planner=self.name)


@pytest.mark.parametrize(("locale", "words"), [("es", "no cabe más"), ("en", "order is full"), ("pt", "Não cabe mais")])
async def test_a_line_that_finds_no_room_is_refused_with_what_to_do(locale: str, words: str) -> None:
    long = [product(f"LAR-{number}", "x" * 290) for number in range(60)]
    session = Session(planner=Adding(), catalogue=MemoryCatalogue(long), limits=AgentLimits(order_bytes=10_000))
    for number in range(0, 60, 20):
        reply = await session.say(" ".join(f"LAR-{each}" for each in range(number, number + 20)), locale=locale)
    assert words in reply.text
    assert 10 < len(lines(reply)) < 60
    assert {tool.reason for tool in reply.metadata.tools} == {"order_too_large"}
    assert (await session.say("LAR-0 LAR-1", locale=locale)).metadata.tools[0].ok, "more of a line takes no more room"


def test_the_bound_follows_the_topic_and_says_whether_that_is_enough() -> None:
    room = OrderSizeLimit(900_000)
    assert room.bytes == 900_000
    assert not room.follow(100_000)
    assert room.bytes < 100_000
    assert room.follow(8_000_000)
    assert room.bytes == 900_000
