import asyncio
import json

import pytest
from structlog.testing import capture_logs

from schemas.api.orders import OrderView
from tests.support.agent.serving import Serving, calling

pytestmark = pytest.mark.slow

NORTE = {"tenant": "norte", "thread": "thread-1"}


@pytest.fixture(autouse=True)
def logs():
    with capture_logs() as lines:
        yield lines


@pytest.fixture
def serving(tmp_path) -> Serving:
    return Serving(tmp_path)


@pytest.fixture
async def client(serving):
    async with calling(serving.app()) as caller:
        yield caller


async def said(client, message, key="", **fields):
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post("/v1/chat", json={**NORTE, "message": message, **fields}, headers=headers)


async def offered(client, **fields) -> dict:
    return (await said(client, "agrega 3", **fields)).json()["order"]


class TestTurns:
    async def test_a_message_is_answered_with_text_cards_order_and_metadata(self, client) -> None:
        reply = (await said(client, "cinta aislante")).json()
        assert reply["turn"] == 1
        assert [card["price"] for card in reply["cards"]] == ["12.50", "25.00", "37.50"]
        assert reply["metadata"]["planner"] == "fixed"
        assert reply["order"]["status"] == "empty"

    async def test_without_a_thread_a_conversation_begins_and_is_named(self, client) -> None:
        names = {
            (await client.post("/v1/chat", json={"tenant": "norte", "message": "x"})).json()["thread"] for _ in "ab"
        }
        assert len(names) == 2

    async def test_a_repeated_key_gets_the_same_answer_and_nothing_runs(self, client, serving) -> None:
        first = await said(client, "agrega 3", key="key-1")
        again = await said(client, "agrega 3", key="key-1")
        assert again.json() == first.json()
        assert serving.runtime.ran == 1
        assert (await said(client, "agrega 3", key="key-2")).json()["order"]["lines"][0]["quantity"] == "6"

    async def test_a_key_is_not_taken_for_another_message(self, client) -> None:
        await said(client, "agrega 3", key="key-1")
        problem = (await said(client, "agrega 4", key="key-1")).json()
        assert (problem["status"], problem["code"]) == (422, "idempotency_key_reused")

    async def test_a_key_of_one_tenant_is_nothing_to_another(self, client) -> None:
        await said(client, "agrega 3", key="key-1")
        assert (await said(client, "agrega 4", key="key-1", tenant="sur")).json()["order"]["total"] == "50.00"

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({**NORTE, "message": ""}, "empty_message"),
            ({**NORTE, "message": "a\u0000b"}, "invalid_request"),
            ({**NORTE, "message": "x", "price": 1}, "invalid_request"),
            ({**NORTE, "message": "x" * 20_001}, "invalid_request"),
            ({"tenant": "no/rte", "message": "x"}, "invalid_request"),
            ({**NORTE, "thread": "../x", "message": "x"}, "invalid_request"),
        ],
    )
    async def test_what_is_no_message_is_refused_with_a_code(self, client, body, code) -> None:
        response = await client.post("/v1/chat", json=body)
        assert (response.status_code, response.json()["code"]) == (422, code)
        assert response.headers["content-type"] == "application/problem+json"

    async def test_a_store_that_is_away_is_503_and_names_no_host(self, client) -> None:
        response = await said(client, "falla")
        assert (response.status_code, response.json()["code"]) == (503, "store_unavailable")
        assert "qdrant-7" not in response.text
        assert response.headers["retry-after"] == "1"

    async def test_a_defect_is_500_without_its_words(self, client) -> None:
        response = await said(client, "clasificado")
        assert response.status_code == 500
        assert "secret" not in response.text

    async def test_a_turn_that_takes_too_long_is_stopped_and_the_next_one_answers(self, tmp_path) -> None:
        async with calling(Serving(tmp_path, turn_s=1.0).app()) as client:
            assert (await said(client, "lento")).json()["code"] == "turn_timeout"
            assert (await said(client, "cinta")).status_code == 200

    async def test_turns_of_one_thread_at_once_are_answered_one_after_another(self, client) -> None:
        replies = await asyncio.gather(*(said(client, f"agrega {n}") for n in (1, 2, 3, 4)))
        assert sorted(reply.json()["turn"] for reply in replies) == [1, 2, 3, 4]
        assert max(float(reply.json()["order"]["lines"][0]["quantity"]) for reply in replies) == 10

    async def test_messages_and_arguments_are_in_no_log_line(self, client, logs) -> None:
        await said(client, "soy Ana Pérez, tel 555-1234")
        await said(client, "falla")
        text = json.dumps(logs, default=str)
        assert "turn answered" in text
        assert "Pérez" not in text
        assert "555" not in text


class TestStream:
    async def test_the_same_answer_comes_as_events(self, client) -> None:
        headers = {"Accept": "text/event-stream"}
        async with client.stream("POST", "/v1/chat", json={**NORTE, "message": "cinta"}, headers=headers) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            frames = [one.split("\n") async for one in _frames(response)]
        assert [name for name, _ in frames] == ["event: planner", "event: tool", "event: reply"]
        reply = json.loads(frames[-1][1].removeprefix("data: "))
        assert reply["text"] == "Encontré 3 para «cinta»."

    async def test_a_failure_after_the_first_event_is_an_event(self, client) -> None:
        headers = {"Accept": "text/event-stream"}
        for message, code in (("falla", "store_unavailable"), ("clasificado", "internal_error")):
            async with client.stream("POST", "/v1/chat", json={**NORTE, "message": message}, headers=headers) as answer:
                frames = [one.split("\n") async for one in _frames(answer)]
            assert frames[-1][0] == "event: problem"
            assert json.loads(frames[-1][1].removeprefix("data: "))["code"] == code

    async def test_a_failure_before_the_first_event_is_a_problem_as_ever(self, client) -> None:
        response = await client.post("/v1/chat", json={**NORTE}, headers={"Accept": "text/event-stream"})
        assert (response.status_code, response.json()["code"]) == (422, "empty_message")


class TestOrders:
    async def test_a_confirmation_submits_and_a_second_one_changes_nothing(self, client) -> None:
        order = await offered(client, customer="c-9")
        path, body = f"/v1/orders/{order['order_id']}/confirm", {"tenant": "norte", "digest": order["digest"]}
        first, second = await asyncio.gather(client.post(path, json=body), client.post(path, json=body))
        third = await client.post(path, json=body)
        answers = [one.json() for one in (first, second, third)]
        assert {answer["order"]["status"] for answer in answers} == {"submitted"}
        assert len({answer["order"]["submitted_at"] for answer in answers}) == 1
        assert answers[2]["first"] is False
        view = OrderView.model_validate((await client.get(f"/v1/orders/{order['order_id']}?tenant=norte")).json())
        assert (view.customer, str(view.total), view.lines[0].notices) == ("c-9", "37.50", ("price_up",))

    async def test_an_order_that_is_not_as_it_was_shown_is_not_submitted(self, client) -> None:
        order = await offered(client)
        await said(client, "agrega 1")
        path = f"/v1/orders/{order['order_id']}/confirm"
        response = await client.post(path, json={"tenant": "norte", "digest": order["digest"]})
        assert (response.status_code, response.json()["code"]) == (409, "order_changed")
        assert (await client.get(f"/v1/orders/{order['order_id']}?tenant=norte")).json()[
            "status"
        ] == "awaiting_confirmation"

    async def test_another_tenant_sees_and_confirms_nothing(self, client) -> None:
        order = await offered(client)
        assert (await client.get(f"/v1/orders/{order['order_id']}?tenant=sur")).json()["code"] == "order_not_found"
        path = f"/v1/orders/{order['order_id']}/confirm"
        assert (await client.post(path, json={"tenant": "sur"})).status_code == 404
        assert (await client.get("/v1/orders?tenant=sur")).json()["orders"] == []

    async def test_orders_are_listed_newest_first_in_pages(self, client) -> None:
        for number in range(3):
            await offered(client, thread=f"thread-{number}")
        first = (await client.get("/v1/orders?tenant=norte&limit=2")).json()
        rest = (await client.get(f"/v1/orders?tenant=norte&limit=2&after={first['next']}")).json()
        assert [one["thread"] for one in (*first["orders"], *rest["orders"])] == ["thread-2", "thread-1", "thread-0"]
        assert rest["next"] == ""


class TestThreads:
    async def test_a_conversation_can_be_read_traced_and_deleted(self, client) -> None:
        order = await offered(client)
        view = (await client.get("/v1/chat/thread-1?tenant=norte")).json()
        assert [one["text"] for one in view["messages"]] == ["agrega 3", "Agregado. ¿Confirma?"]
        (turn,) = (await client.get("/v1/chat/thread-1/trace?tenant=norte")).json()
        assert turn["tools"][0]["args"] == {"query": "agrega 3"}
        assert (await client.delete("/v1/chat/thread-1?tenant=norte")).status_code == 204
        assert (await client.get("/v1/chat/thread-1/trace?tenant=norte")).status_code == 404
        withdrawn = (await client.get(f"/v1/orders/{order['order_id']}?tenant=norte")).json()
        assert withdrawn["status"] == "withdrawn"

    async def test_a_thread_of_one_tenant_is_useless_to_another(self, client) -> None:
        await said(client, "agrega 3")
        for call in (client.get, client.delete):
            assert (await call("/v1/chat/thread-1?tenant=sur")).json()["code"] == "thread_not_found"
        assert (await client.get("/v1/chat/thread-1/trace?tenant=sur")).status_code == 404
        assert (await said(client, "agrega 1", tenant="sur")).json()["turn"] == 1

    async def test_all_conversations_of_a_customer_go_and_nobody_elses(self, client) -> None:
        for thread, customer in (("thread-1", "ana"), ("thread-2", "ana"), ("thread-3", "luis")):
            await said(client, "cinta", thread=thread, customer=customer)
        assert (await client.delete("/v1/chat?tenant=sur&customer=ana")).json() == {"threads": 0}
        assert (await client.delete("/v1/chat?tenant=norte&customer=ana")).json() == {"threads": 2}
        assert (await client.get("/v1/chat/thread-1/trace?tenant=norte")).status_code == 404
        assert (await client.get("/v1/chat/thread-3/trace?tenant=norte")).status_code == 200


class TestAccessAndOperations:
    async def test_a_key_opens_its_tenant_and_no_other(self, tmp_path) -> None:
        keys = {"norte": ["n" * 16], "sur": ["s" * 16]}
        async with calling(Serving(tmp_path, api_keys=keys).app()) as client:
            mine = {"Authorization": f"Bearer {'n' * 16}"}
            paths = ("/v1/chat/t-1", "/v1/chat/t-1/trace", "/v1/orders", "/v1/orders/order-001")
            for path in paths:
                assert (await client.get(path, params={"tenant": "norte"})).status_code == 401
                assert (await client.get(path, params={"tenant": "sur"}, headers=mine)).status_code == 403
            body = {"tenant": "sur", "message": "x"}
            assert (await client.post("/v1/chat", json=body, headers=mine)).status_code == 403
            assert (
                await client.post("/v1/orders/order-001/confirm", json={"tenant": "sur"}, headers=mine)
            ).status_code == 403
            assert (await client.delete("/v1/chat/t-1?tenant=sur", headers=mine)).status_code == 403
            assert (await client.delete("/v1/chat?tenant=sur&customer=a", headers=mine)).status_code == 403
            assert (await client.post("/v1/chat", json={**body, "tenant": "norte"}, headers=mine)).status_code == 200

    async def test_above_its_bound_a_process_refuses(self, tmp_path) -> None:
        async with calling(Serving(tmp_path, turn_s=1.0, max_in_flight=1).app()) as client:
            slow = asyncio.create_task(said(client, "lento"))
            await asyncio.sleep(0.1)
            assert (await said(client, "cinta", thread="thread-2")).status_code == 429
            await slow

    async def test_metrics_hold_figures_and_no_names(self, client) -> None:
        order = await offered(client)
        await client.post(f"/v1/orders/{order['order_id']}/confirm", json={"tenant": "norte"})
        await said(client, "falla")
        text = (await client.get("/metrics")).text
        assert 'ferroflux_agent_turns_total{bypassed="false",planner="fixed"} 2.0' in text
        assert "ferroflux_agent_submissions_total 1.0" in text
        assert 'ferroflux_agent_turn_failures_total{code="store_unavailable"} 1.0' in text
        assert "ferroflux_agent_outbox_pending 1.0" in text
        under_its_name = text.count("ferroflux_http_requests_total{")
        assert text.count("ferroflux_agent_http_requests_total{") == under_its_name > 0, (
            "the former name stays for one release"
        )
        assert "norte" not in text

    async def test_the_page_allows_nothing_from_elsewhere(self, client) -> None:
        page = await client.get("/chat")
        assert page.status_code == 200
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "http" not in page.text.replace("http://www.w3.org", "")
        assert (await client.get("/chat/assets/app.js")).headers["content-type"].startswith("text/javascript")
        assert (await client.get("/chat/assets/..%2f..%2fsettings.py")).status_code == 404

    async def test_the_description_names_every_route(self, client) -> None:
        paths = (await client.get("/chat/openapi.json")).json()["paths"]
        assert {"/v1/chat", "/v1/chat/{thread}", "/v1/orders", "/v1/orders/{order}/confirm"} <= set(paths)


async def _frames(response):
    rest = ""
    async for text in response.aiter_text():
        *whole, rest = (rest + text).split("\n\n")
        for frame in whole:
            yield frame
