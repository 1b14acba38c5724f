"""Turns that cannot be ended and states that cannot be read: an apology, the order kept, and the conversation goes on."""

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from agent.checkpoints.embedded import SqliteCheckpoints
from agent.conversation.limits import AgentLimits
from agent.conversation.recovery import FAILED
from agent.errors import CatalogueUnavailableError, MessageTooLongError
from agent.orders.relay import OrderService
from agent.orders.store import OrderStore
from agent.planners.deterministic import DeterministicPlanner
from agent.ports import PlannerStep, TurnContext
from agent.settings import DatabaseSettings
from agent.storage.database import Database
from agent.threads.leases import ThreadLeases
from agent.threads.log import DatabaseThreadRecord, LoggedTurn, TurnLog
from agent.threads.registry import ThreadsApart
from agent.turns.runtime import STATE, TURN
from runtime.isolation import DefectError, Reason
from schemas.errors import InvalidRequestError
from schemas.identity import TenantId
from tests.support.agent.catalogue import MemoryCatalogue
from tests.support.agent.session import Session, lines

NORTE = TenantId("norte")
BRICKED = Path(__file__).parents[2] / "fixtures/agent/bricked-by-a-quantity.sql"


@pytest.fixture(autouse=True)
def logs():
    with capture_logs() as captured:
        yield captured


class Moody(DeterministicPlanner):
    """Fails by a defect at each message that holds `mal`, and at all of them where it is `broken`."""

    broken = False

    async def plan(self, context: TurnContext) -> PlannerStep:
        if self.broken or "mal" in context.message:
            raise ZeroDivisionError
        return await super().plan(context)


class Kept:
    """A `ThreadRecord` in memory."""

    def __init__(self) -> None:
        self.apart: list[tuple[str, str, str]] = []

    async def set_apart(self, tenant: TenantId, thread: str, stage: str, reason: Reason) -> None:
        self.apart.append((f"{tenant}/{thread}", stage, reason.code))

    async def recall(self, tenant: TenantId, thread: str) -> None:
        return None


def moody(**changes: Any) -> tuple[Session, Kept]:
    session, kept = Session(planner=Moody(), **changes), Kept()
    session.runtime._record = kept
    return session, kept


class TestAStepOfOursThatFails:
    async def test_the_turn_is_closed_with_an_apology_and_the_next_message_is_answered(self) -> None:
        session, kept = moody()
        await session.say("agrega 2 MAR-1")
        sorry = await session.say("esto anda mal", key="k2")
        assert sorry.metadata.stopped == FAILED
        assert "no pude responder" in sorry.text
        assert lines(sorry) == {"MAR-1": 2}, "the order is kept"
        assert kept.apart == [("norte/t1", TURN, "unexpected")]
        assert await session.say("esto anda mal", key="k2") == sorry, "the same request has the same answer"
        done = await session.say("confirmo")
        assert (len(done.submitted), done.turn) == (1, 3)

    @pytest.mark.parametrize(
        ("message", "words"), [("this is mal, please show me", "Sorry"), ("mal, você não tem isso", "Desculpe")]
    )
    async def test_the_apology_is_in_the_language_of_the_message(self, message: str, words: str) -> None:
        session, _ = moody()
        assert words in (await session.say(message)).text

    async def test_the_conversation_shows_what_was_said(self) -> None:
        session, _ = moody()
        sorry = await session.say("esto anda mal")
        view = await session.runtime.view("norte", "t1")
        assert [message["text"] for message in view.messages] == ["esto anda mal", sorry.text]

    async def test_no_thread_is_stuck_with_a_state_at_which_every_turn_fails(self) -> None:
        session, _ = moody()
        await session.say("agrega 2 MAR-1")
        texts = [(await session.say(f"mal {number}")).text for number in range(3)]
        assert "empecemos un pedido nuevo" in texts[-1]
        reply = await session.say("agrega 1 MAR-2")
        assert lines(reply) == {"MAR-2": 1}

    async def test_fifty_in_a_row_are_a_defect_of_ours_and_one_good_turn_ends_the_row(self) -> None:
        session, kept = moody()
        for number in range(49):
            await session.say(f"mal {number}", thread=f"t{number}")
        await session.say("martillo", thread="good")
        for number in range(49):
            await session.say(f"mal {number}", thread=f"u{number}")
        assert not session.runtime.defect
        with pytest.raises(DefectError, match="50 in a row"):
            await session.say("esto anda mal", thread="one-too-many")
        assert "ZeroDivisionError" in session.runtime.defect
        assert len(kept.apart) == 98
        await session.say("martillo", thread="good-again")
        assert not session.runtime.defect

    async def test_search_that_is_away_is_no_failure_of_the_turn(self) -> None:
        class Away(MemoryCatalogue):
            async def find(self, *args: Any, **kwargs: Any) -> Any:
                raise CatalogueUnavailableError

        session, kept = moody()
        session.runtime = session.worker(catalogue=Away())
        for _ in range(3):
            with pytest.raises(CatalogueUnavailableError):
                await session.say("martillo", key="k1")
        session.runtime = session.worker()
        assert (await session.say("martillo", key="k1")).turn == 1
        assert not kept.apart


class TestATurnThatCannotBeResumed:
    async def test_a_dependency_that_fails_every_time_is_tried_once_more_and_the_turn_closed(self) -> None:
        class Broken(MemoryCatalogue):
            async def find(self, *_: Any, **__: Any) -> Any:
                raise KeyError("nobody knows why")

        session = Session()
        session.runtime = session.worker(catalogue=Broken())
        with pytest.raises(KeyError):
            await session.say("dame dos martillos", key="k1")
        closed = await session.say("dame dos martillos", key="k1")
        assert (closed.metadata.stopped, closed.turn) == (FAILED, 1)
        session.runtime = session.worker()
        assert (await session.say("martillo de uña")).turn == 2

    async def test_another_message_hears_of_it_and_is_answered(self) -> None:
        class Broken(MemoryCatalogue):
            failures = 2

            async def items(self, tenant: TenantId, skus: Any) -> Any:
                if Broken.failures:
                    Broken.failures -= 1
                    raise KeyError("nobody knows why")
                return await super().items(tenant, skus)

        session = Session()
        session.runtime = session.worker(catalogue=Broken())
        with pytest.raises(KeyError):
            await session.say("agrega 2 MAR-1", key="k1")
        reply = await session.say("agrega 1 MAR-2", key="k2")
        assert "no pude terminar su mensaje anterior" in reply.text
        assert lines(reply) == {"MAR-2": 1}

    async def test_one_that_never_comes_to_its_end_is_closed_when_its_time_is_over(self) -> None:
        class Slow(MemoryCatalogue):
            async def items(self, tenant: TenantId, skus: Any) -> Any:
                await asyncio.sleep(30)

        session = Session()
        slow = session.worker(catalogue=Slow())
        slow._resume_s = 0.05
        session.runtime = slow
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await session.say("agrega 2 MAR-1", key="k1")
        assert (await session.say("agrega 2 MAR-1", key="k1")).metadata.stopped == FAILED

    async def test_a_thread_that_the_release_before_bricked_with_a_quantity_is_usable_again(self, tmp_path) -> None:
        with sqlite3.connect(tmp_path / "threads.db") as connection:
            connection.executescript(BRICKED.read_text(encoding="utf-8"))
        database = await Database.open(DatabaseSettings(directory=tmp_path))
        checkpoints = await SqliteCheckpoints.open(tmp_path / "threads.db", timeout_s=5)
        session = Session()
        session.saver, session.orders = checkpoints.saver, OrderService(OrderStore(database), lambda _order: None)
        session.runtime = session.worker()
        shown = await session.say("ver mi pedido")
        assert lines(shown) == {"MAR-2": 2}, "what can be ordered is kept"
        done = await session.say("confirmo")
        assert len(done.submitted) == 1
        stored = await OrderStore(database).get(NORTE, done.submitted[0])
        assert [(line.sku, line.quantity) for line in stored.lines] == [("MAR-2", 2)]
        await checkpoints.close()
        await database.close()


class TestAStateThatCannotBeRead:
    @pytest.fixture
    async def database(self, tmp_path):
        opened = await Database.open(DatabaseSettings(directory=tmp_path))
        yield opened
        await opened.close()

    @pytest.fixture
    async def session(self, tmp_path, database):
        checkpoints = await SqliteCheckpoints.open(tmp_path / "threads.db", timeout_s=5)
        session = Session()
        store = OrderStore(database)
        session.saver, session.orders = checkpoints.saver, OrderService(store, lambda _order: None)
        session.runtime = session.worker()
        session.counted = []
        session.runtime._record = DatabaseThreadRecord(
            TurnLog(database),
            store,
            ThreadsApart(database),
            lambda *labels: session.counted.append(labels),
            kept_messages=40,
        )
        yield session
        await checkpoints.close()

    async def said(self, session: Session, database: Database, message: str) -> Any:
        """One message, and its record as the service keeps it."""
        async with session_guard(database):
            reply = await session.say(message)
        turn = LoggedTurn(reply.turn, "", "d", message, reply, {}, 1, 2)
        await TurnLog(database).record(NORTE, "t1", "", turn)
        return reply

    async def spoiled(self, session: Session, garbage: bytes) -> None:
        connection = session.saver.conn
        await connection.execute("UPDATE checkpoints SET checkpoint = ?", (garbage,))
        await connection.commit()

    @pytest.mark.parametrize("garbage", [b"", b"\xc1\x00garbage", b"\x81", b"{}", b"\xc7\x03\x05abc"])
    async def test_garbage_in_its_place_costs_an_apology_and_not_the_order(
        self, session, database, garbage: bytes
    ) -> None:
        shown = await self.said(session, database, "agrega 2 MAR-1")
        await self.spoiled(session, garbage)
        view = await session.runtime.view("norte", "t1")
        assert [message["text"] for message in view.messages] == ["agrega 2 MAR-1", shown.text]
        reply = await self.said(session, database, "agrega 1 MAR-2")
        assert "perdí parte de nuestra conversación" in reply.text
        assert lines(reply) == {"MAR-1": 2, "MAR-2": 1}
        assert (reply.turn, reply.order.order_id) == (2, shown.order.order_id)
        assert session.counted == [(STATE, "unexpected")] or session.counted == [(STATE, "unknown_state_type")]
        (apart,) = await ThreadsApart(database).of_tenant(NORTE, limit=10)
        assert (apart.thread, apart.stage, apart.times) == ("t1", STATE, 1)
        assert len((await self.said(session, database, "confirmo")).submitted) == 1

    async def test_an_order_that_was_submitted_is_not_open_again(self, session, database) -> None:
        shown = await self.said(session, database, "agrega 2 MAR-1")
        async with session_guard(database):
            await session.say("confirmo")  # and the process dies before it has recorded the turn
        await self.spoiled(session, b"garbage")
        reply = await self.said(session, database, "ver mi pedido")
        assert lines(reply) == {}
        again = await self.said(session, database, "agrega 2 MAR-1")
        assert again.order.order_id != shown.order.order_id

    async def test_without_any_record_the_conversation_begins_afresh(self, session) -> None:
        session.runtime._record = session.worker()._record
        await session.say("agrega 2 MAR-1")
        await self.spoiled(session, b"garbage")
        reply = await session.say("agrega 1 MAR-2")
        assert lines(reply) == {"MAR-2": 1}


def session_guard(database: Database):
    """Makes the thread's row, as the lease of a served turn does."""
    return ThreadLeases(database).hold(NORTE, "t1")


class TestAtTheDoor:
    async def test_a_message_is_as_long_as_what_is_read_of_it(self) -> None:
        session = Session(limits=AgentLimits(message_characters=100))
        with pytest.raises(MessageTooLongError):
            await session.say("\u3316" * 50)

    async def test_half_a_character_is_refused_before_anything_is_stored(self) -> None:
        session = Session()
        with pytest.raises(InvalidRequestError):
            await session.say("martillo \ud800")
        assert (await session.say("martillo")).turn == 1
