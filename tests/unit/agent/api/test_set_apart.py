"""What was set apart, as an operator sees it over HTTP: readiness, metrics, lists, and how it is tried again."""

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

from agent.conversation.thread_names import ThreadName
from agent.orders.outbox import Outbox
from agent.settings import DatabaseSettings
from agent.storage.database import Database
from agent.storage.tables import turns
from agent.threads.registry import ThreadsApart
from runtime.isolation import Reason
from schemas.identity import TenantId
from tests.support.agent.serving import Serving, calling

pytestmark = pytest.mark.slow

NORTE = {"tenant": "norte", "thread": "thread-1"}


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


@pytest.fixture
def serving(tmp_path) -> Serving:
    return Serving(tmp_path)


@pytest.fixture
async def client(serving):
    async with calling(serving.app()) as caller:
        yield caller


@pytest.fixture
async def database(client, tmp_path):
    opened = await Database.open(DatabaseSettings(directory=tmp_path))
    yield opened
    await opened.close()


async def submitted(client) -> str:
    order = (await client.post("/v1/chat", json={**NORTE, "message": "agrega 3"})).json()["order"]
    await client.post(f"/v1/orders/{order['order_id']}/confirm", json={"tenant": "norte", "digest": order["digest"]})
    return order["order_id"]


async def test_an_order_that_is_set_apart_is_shown_and_tried_again(client, database) -> None:
    order = await submitted(client)
    assert (await client.get("/readyz")).json()["degraded"] == {}
    outbox = Outbox(database)
    (row,) = await outbox.claim("relay", limit=1, lease_s=60)
    await outbox.set_apart("relay", row, Reason("record_too_large", "raise max.message.bytes"))
    ready = await client.get("/readyz")
    assert ready.status_code == 200
    assert "1 submitted orders are set apart" in ready.json()["degraded"]["orders"]
    assert "ferroflux_agent_orders_set_apart 1.0" in (await client.get("/metrics")).text
    listed = (await client.get("/v1/orders", params={"tenant": "norte", "set_apart": "true"})).json()["orders"]
    assert [(one["order_id"], one["set_apart"]["reason"]) for one in listed] == [(order, "record_too_large")]
    tried = await client.post(f"/v1/orders/{order}/retry", json={"tenant": "norte"})
    assert (tried.status_code, tried.json()["set_apart"]) == (200, None)
    assert (await client.get("/readyz")).json()["degraded"] == {}
    assert (await client.post(f"/v1/orders/{order}/retry", json={"tenant": "sur"})).status_code == 404


async def test_a_conversation_that_is_set_apart_is_shown_and_tried_again(client, database) -> None:
    await client.post("/v1/chat", json={**NORTE, "message": "hola"})
    apart = ThreadsApart(database)
    for _ in range(2):
        await apart.note(ThreadName(TenantId("norte"), "thread-1"), "turn", Reason("unexpected", "KeyError('x')"))
    assert "1 conversations are set apart" in (await client.get("/readyz")).json()["degraded"]["conversations"]
    (shown,) = (await client.get("/v1/chat", params={"tenant": "norte"})).json()["threads"]
    assert (shown["thread"], shown["stage"], shown["reason"], shown["times"]) == ("thread-1", "turn", "unexpected", 2)
    assert (await client.get("/v1/chat", params={"tenant": "sur"})).json() == {"threads": []}
    answer = await client.post("/v1/chat/thread-1/retry", json={"tenant": "norte"})
    assert (answer.status_code, answer.json()) == (200, {"threads": []})
    assert (await client.post("/v1/chat/thread-1/retry", json={"tenant": "norte"})).status_code == 404


async def test_what_is_set_apart_of_a_conversation_goes_with_it(client, database) -> None:
    await client.post("/v1/chat", json={**NORTE, "message": "hola"})
    apart = ThreadsApart(database)
    await apart.note(ThreadName(TenantId("norte"), "thread-1"), "turn", Reason("unexpected", "it quotes what was said"))
    await client.delete("/v1/chat/thread-1", params={"tenant": "norte"})
    assert await apart.count() == 0


async def test_a_turn_of_the_log_that_cannot_be_read_hides_no_other_and_is_not_done_again(
    client, database, serving
) -> None:
    headers = {"Idempotency-Key": "key-1"}
    for message, key in (("agrega 3", headers), ("cinta", {})):
        await client.post("/v1/chat", json={**NORTE, "message": message}, headers=key)
    async with database.write() as connection:
        await connection.execute(update(turns).where(turns.c.number == 1).values(reply="{}", trace="not json"))
    shown = (await client.get("/v1/chat/thread-1/trace", params={"tenant": "norte"})).json()
    assert [turn["message"] for turn in shown] == ["agrega 3", "cinta"]
    ran = serving.runtime.ran
    again = await client.post("/v1/chat", json={**NORTE, "message": "agrega 3"}, headers=headers)
    assert (again.status_code, again.json()["turn"], serving.runtime.ran) == (200, 1, ran)


async def test_a_turn_that_cannot_be_recorded_is_answered_all_the_same(client, serving, monkeypatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("agent.chat.trace_of", broken)
    answer = await client.post("/v1/chat", json={**NORTE, "message": "cinta"})
    assert answer.status_code == 200
    assert (
        'ferroflux_set_apart_total{reason="unexpected",stage="turn record"} 1.0' in (await client.get("/metrics")).text
    )
