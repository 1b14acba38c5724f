"""What a conversation or an order is opened by: a customer's token, a name that was issued, or, where no keys are, any name."""

from __future__ import annotations

import time

import jwt
import pytest
from structlog.testing import capture_logs

from tests.support.agent.serving import Serving, calling

pytestmark = pytest.mark.slow

SECRET = "one secret of more than thirty-two bytes"
PAGE, OFFICE, OPERATOR, SOUTH = (f"{name}-key-0123456789" for name in ("page", "office", "operator", "south"))
KEYED = {
    "api_keys": {
        "norte": [
            PAGE,
            {"key": OFFICE, "roles": ["chat", "orders"]},
            {"key": OPERATOR, "roles": ["operate"]},
        ],
        "sur": [SOUTH],
    },
    "customers": {"norte": {"secret": SECRET, "audience": "shop"}},
}


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


@pytest.fixture
async def client(tmp_path):
    async with calling(Serving(tmp_path, **KEYED).app()) as caller:
        yield caller


@pytest.fixture
async def open_client(tmp_path):
    async with calling(Serving(tmp_path).app()) as caller:
        yield caller


def by(key: str = PAGE, customer: str = "", idempotency: str = "") -> dict[str, str]:
    headers = {"X-API-Key": key}
    if customer:
        token = jwt.encode({"sub": customer, "aud": "shop", "exp": time.time() + 60}, SECRET, algorithm="HS256")
        headers["X-Customer-Token"] = token
    return headers | ({"Idempotency-Key": idempotency} if idempotency else {})


async def said(client, headers, thread: str = "", message: str = "agrega 3", tenant: str = "norte", **fields):
    body = {"tenant": tenant, "message": message, **({"thread": thread} if thread else {}), **fields}
    return await client.post("/v1/chat", json=body, headers=headers)


class TestKeysAlone:
    async def test_a_key_that_could_be_guessed_names_no_conversation(self, client, open_client) -> None:
        refused = await said(client, by(idempotency="4f1c9a"))
        assert (refused.status_code, refused.json()["code"]) == (422, "weak_idempotency_key")
        assert (await said(client, by(idempotency="4f1c9a" * 4))).status_code == 200
        assert (await said(client, by(customer="ana", idempotency="1"))).status_code == 200
        assert (await said(open_client, {"Idempotency-Key": "1"})).status_code == 200

    async def test_nobody_says_without_a_token_who_the_customer_is_where_customers_have_tokens(self, client) -> None:
        refused = await said(client, by(), customer="ana")
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
        assert "X-Customer-Token" in refused.text
        assert (await said(client, by(OFFICE), customer="ana")).status_code == 200
        assert (await said(client, by(SOUTH), tenant="sur", customer="ana")).status_code == 200

    async def test_a_conversation_begins_without_a_name_and_goes_on_under_the_issued_one(self, client) -> None:
        thread = (await said(client, by())).json()["thread"]
        again = (await said(client, by(), thread)).json()
        assert (again["thread"], again["turn"]) == (thread, 2)
        for path in ("", "/trace"):
            answer = await client.get(f"/v1/chat/{thread}{path}", params={"tenant": "norte"}, headers=by())
            assert answer.status_code == 200
        deleted = await client.delete(f"/v1/chat/{thread}", params={"tenant": "norte"}, headers=by())
        assert deleted.status_code == 204

    @pytest.mark.parametrize("name", ["cart", "0" * 32, "t" + "0" * 48])
    async def test_a_name_of_ones_own_choice_opens_nothing(self, client, name) -> None:
        refused = await said(client, by(), name)
        assert (refused.status_code, refused.json()["code"]) == (422, "thread_not_issued")
        for method, path in (("GET", ""), ("GET", "/trace"), ("DELETE", "")):
            answer = await client.request(method, f"/v1/chat/{name}{path}", params={"tenant": "norte"}, headers=by())
            assert (answer.status_code, answer.json()["code"]) == (404, "thread_not_found")

    async def test_an_issued_name_is_nothing_to_another_tenant(self, client) -> None:
        thread = (await said(client, by())).json()["thread"]
        assert (await said(client, by(SOUTH), thread, tenant="sur")).json()["code"] == "thread_not_issued"
        answer = await client.get(f"/v1/chat/{thread}", params={"tenant": "sur"}, headers=by(SOUTH))
        assert answer.json()["code"] == "thread_not_found"

    async def test_names_of_customers_conversations_open_nothing_either(self, client) -> None:
        await said(client, by(customer="ana"), "cart")
        orders = (await client.get("/v1/orders", params={"tenant": "norte"}, headers=by(OFFICE))).json()["orders"]
        kept = orders[0]["thread"]
        assert kept != "cart"
        assert (await said(client, by(), kept)).json()["code"] == "thread_not_issued"
        assert (await client.get(f"/v1/chat/{kept}", params={"tenant": "norte"}, headers=by())).status_code == 404

    async def test_an_operator_reads_and_deletes_by_any_name_and_says_nothing(self, client) -> None:
        await said(client, by(customer="ana"), "cart")
        kept = (await client.get("/v1/orders", params={"tenant": "norte"}, headers=by(OFFICE))).json()["orders"][0][
            "thread"
        ]
        assert (
            await client.get(f"/v1/chat/{kept}", params={"tenant": "norte"}, headers=by(OPERATOR))
        ).status_code == 200
        assert (await said(client, by(OPERATOR), kept)).json()["code"] == "missing_role"
        gone = await client.delete("/v1/chat", params={"tenant": "norte", "customer": "ana"}, headers=by(OPERATOR))
        assert gone.json() == {"threads": 1}


class TestCustomers:
    async def test_two_customers_names_are_two_conversations(self, client) -> None:
        for customer in ("ana", "luis"):
            reply = (await said(client, by(customer=customer), "cart")).json()
            assert (reply["thread"], reply["turn"]) == ("cart", 1)
        view = (await client.get("/v1/chat/cart", params={"tenant": "norte"}, headers=by(customer="ana"))).json()
        assert (view["thread"], view["turn"], view["last"]["thread"]) == ("cart", 1, "cart")
        await client.delete("/v1/chat/cart", params={"tenant": "norte"}, headers=by(customer="luis"))
        trace = await client.get("/v1/chat/cart/trace", params={"tenant": "norte"}, headers=by(customer="ana"))
        assert trace.status_code == 200

    async def test_orders_are_the_customers_own_and_a_chat_key_is_enough(self, client) -> None:
        offers = {name: (await said(client, by(customer=name), "cart")).json()["order"] for name in ("ana", "luis")}
        # An anonymous caller who says to be ana is not.
        await said(client, by(), customer="ana")
        for name, offer in offers.items():
            other = offers["luis" if name == "ana" else "ana"]
            listed = await client.get("/v1/orders", params={"tenant": "norte"}, headers=by(customer=name))
            assert [(one["order_id"], one["thread"], one["customer"]) for one in listed.json()["orders"]] == [
                (offer["order_id"], "cart", name)
            ]
            path, params = f"/v1/orders/{offer['order_id']}", {"tenant": "norte"}
            assert (await client.get(path, params=params, headers=by(customer=name))).json()["thread"] == "cart"
            strange = f"/v1/orders/{other['order_id']}"
            assert (await client.get(strange, params=params, headers=by(customer=name))).status_code == 404
            cursor = {**params, "after": other["order_id"]}
            assert (await client.get("/v1/orders", params=cursor, headers=by(customer=name))).status_code == 404
            body = {"tenant": "norte", "digest": other["digest"]}
            refused = await client.post(f"{strange}/confirm", json=body, headers=by(customer=name))
            assert refused.json()["code"] == "order_not_found"
        mine = {"tenant": "norte", "digest": offers["ana"]["digest"]}
        path = f"/v1/orders/{offers['ana']['order_id']}/confirm"
        confirmed = (await client.post(path, json=mine, headers=by(customer="ana"))).json()
        assert (confirmed["order"]["status"], confirmed["order"]["thread"], confirmed["reply"]["thread"]) == (
            "submitted",
            "cart",
            "cart",
        )

    async def test_without_the_token_the_same_key_lists_no_orders(self, client) -> None:
        answer = await client.get("/v1/orders", params={"tenant": "norte"}, headers=by())
        assert (answer.status_code, answer.json()["code"]) == (403, "missing_role")

    async def test_the_back_office_sees_the_orders_of_all(self, client) -> None:
        for customer in ("ana", "luis", ""):
            await said(client, by(customer=customer))
        listed = (await client.get("/v1/orders", params={"tenant": "norte"}, headers=by(OFFICE))).json()["orders"]
        assert sorted(one["customer"] for one in listed) == ["", "ana", "luis"]

    async def test_a_customer_deletes_only_what_is_theirs(self, client) -> None:
        await said(client, by(customer="ana"), "cart")
        await said(client, by(), customer="ana")
        strange = {"tenant": "norte", "customer": "luis"}
        assert (await client.delete("/v1/chat", params=strange, headers=by(customer="ana"))).status_code == 422
        mine = {"tenant": "norte", "customer": "ana"}
        assert (await client.delete("/v1/chat", params=mine, headers=by())).json()["code"] == "missing_role"
        assert (await client.delete("/v1/chat", params=mine, headers=by(customer="ana"))).json() == {"threads": 1}

    async def test_who_the_customer_is_the_token_says_and_the_body_cannot(self, client) -> None:
        assert (await said(client, by(customer="ana"), customer="luis")).status_code == 422
        assert (await said(client, by(customer="ana"), customer="ana")).status_code == 200

    @pytest.mark.parametrize("path", ["/v1/chat/cart", "/v1/chat/cart/trace", "/v1/orders", "/v1/orders/order-0001"])
    async def test_a_token_that_is_none_opens_nothing(self, client, path) -> None:
        headers = by() | {"X-Customer-Token": "forged"}
        answer = await client.get(path, params={"tenant": "norte"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_customer_token")
        assert (await said(client, headers, "cart")).status_code == 401

    async def test_a_token_is_nothing_without_a_key_or_with_another_tenants(self, client) -> None:
        token = {"X-Customer-Token": by(customer="ana")["X-Customer-Token"]}
        assert (await said(client, token, "cart")).status_code == 401
        assert (await said(client, token | {"X-API-Key": SOUTH}, "cart", tenant="sur")).status_code == 401
        assert (await said(client, token | {"X-API-Key": SOUTH}, "cart")).status_code == 403

    async def test_a_stream_names_the_conversation_as_the_customer_does(self, client) -> None:
        answer = await said(client, by(customer="ana") | {"Accept": "text/event-stream"}, "cart")
        assert '"thread":"cart"' in answer.text


class TestIdempotencyWithoutAThread:
    @pytest.mark.parametrize("customer", ["", "ana"])
    async def test_the_same_key_and_body_have_the_same_answer(self, client, customer) -> None:
        first = await said(client, by(customer=customer, idempotency="key-1-of-a-random-request"))
        again = await said(client, by(customer=customer, idempotency="key-1-of-a-random-request"))
        assert first.json() == again.json()
        assert first.json()["turn"] == 1
        go_on = await said(
            client, by(customer=customer, idempotency="key-2-of-a-random-request"), first.json()["thread"]
        )
        assert go_on.json()["turn"] == 2
        assert (
            await said(client, by(customer=customer, idempotency="key-1-of-a-random-request"))
        ).json() == first.json()

    async def test_another_body_is_refused(self, client) -> None:
        await said(client, by(idempotency="key-1-of-a-random-request"))
        refused = await said(client, by(idempotency="key-1-of-a-random-request"), message="agrega 4")
        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")

    async def test_a_key_is_nothing_to_another_tenant_or_customer(self, client) -> None:
        answers = [
            await said(client, by(idempotency="key-1-of-a-random-request")),
            await said(client, by(SOUTH, idempotency="key-1-of-a-random-request"), tenant="sur"),
            await said(client, by(customer="ana", idempotency="key-1-of-a-random-request")),
            await said(client, by(customer="luis", idempotency="key-1-of-a-random-request")),
        ]
        assert len({answer.json()["thread"] for answer in answers}) == 4
        assert {answer.json()["turn"] for answer in answers} == {1}

    async def test_it_holds_over_a_restart(self, tmp_path) -> None:
        answers = []
        for _ in range(2):
            async with calling(Serving(tmp_path, **KEYED).app()) as client:
                answers.append((await said(client, by(idempotency="key-1-of-a-random-request"))).json())
        assert answers[0] == answers[1]


class TestOpen:
    async def test_any_name_opens_and_none_begins(self, open_client) -> None:
        assert (await said(open_client, {}, "cart")).json()["thread"] == "cart"
        begun = (await said(open_client, {})).json()["thread"]
        assert (await said(open_client, {}, begun)).json()["turn"] == 2
        assert (await open_client.get("/v1/chat/cart", params={"tenant": "norte"})).status_code == 200

    async def test_conversations_of_before_keys_are_kept_for_who_may_see_all(self, tmp_path) -> None:
        async with calling(Serving(tmp_path).app()) as client:
            order = (await said(client, {}, "cart", customer="ana")).json()["order"]
        async with calling(Serving(tmp_path, **KEYED).app()) as client:
            params = {"tenant": "norte"}
            assert (await client.get("/v1/chat/cart/trace", params=params, headers=by(OPERATOR))).status_code == 200
            found = (await client.get(f"/v1/orders/{order['order_id']}", params=params, headers=by(OFFICE))).json()
            assert (found["thread"], found["customer"]) == ("cart", "ana")
            # Nobody had checked then who ana is.
            mine = await client.get("/v1/orders", params=params, headers=by(customer="ana"))
            assert mine.json()["orders"] == []
