"""What the chat API really sends, held against the JSON Schemas that others build on."""

import json
from typing import Any

import jsonschema
import pytest
from jsonschema.exceptions import ValidationError

from schemas.export import FOLDER
from tests.support.agent.serving import Serving, calling

pytestmark = pytest.mark.slow

NORTE = {"tenant": "norte", "thread": "thread-1"}


def check(name: str, document: Any) -> None:
    """The document meets the contract and has no field that the contract does not name."""
    schema = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    for model in (schema, *schema.get("$defs", {}).values()):
        if "properties" in model:
            model.setdefault("additionalProperties", False)
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.fixture
async def client(tmp_path):
    async with calling(Serving(tmp_path).app()) as caller:
        yield caller


@pytest.mark.parametrize("message", ["cinta aislante", "agrega 3"])
async def test_an_answer_is_a_chat_reply(client, message: str) -> None:
    check("chat-request", {**NORTE, "message": message})
    check("chat-reply", (await client.post("/v1/chat", json={**NORTE, "message": message})).json())


async def test_the_events_of_a_turn_are_its_steps_and_its_reply(client) -> None:
    answer = await client.post("/v1/chat", json={**NORTE, "message": "cinta"}, headers={"Accept": "text/event-stream"})
    frames = [frame.split("\ndata: ") for frame in answer.text.strip().split("\n\n")]
    assert [name for name, _ in frames] == ["event: planner", "event: tool", "event: reply"]
    *steps, reply = (json.loads(data) for _, data in frames)
    for step in steps:
        check("chat-step", step)
    check("chat-reply", reply)


async def test_a_confirmation_a_conversation_and_its_deletion_meet_their_contracts(client) -> None:
    message = {**NORTE, "message": "agrega 3", "customer": "c-9"}
    order = (await client.post("/v1/chat", json=message)).json()["order"]
    confirmation = {"tenant": "norte", "digest": order["digest"]}
    check("order-confirmation", confirmation)
    path = f"/v1/orders/{order['order_id']}"
    for first in (True, False):
        confirmed = (await client.post(f"{path}/confirm", json=confirmation)).json()
        assert confirmed["first"] is first
        check("confirmed-order", confirmed)
    check("order", (await client.get(path, params={"tenant": "norte"})).json())
    check("order-list", (await client.get("/v1/orders", params={"tenant": "norte"})).json())
    check("conversation", (await client.get("/v1/chat/thread-1", params={"tenant": "norte"})).json())
    deleted = (await client.delete("/v1/chat", params={"tenant": "norte", "customer": "c-9"})).json()
    assert deleted == {"threads": 1}
    check("deleted-conversations", deleted)


@pytest.mark.parametrize(
    "body", [{"message": "x"}, {**NORTE, "price": 1}, {**NORTE, "thread": "../x"}, {**NORTE, "message": "x" * 20_001}]
)
async def test_what_the_contract_of_a_request_refuses_the_api_refuses(client, body) -> None:
    with pytest.raises(ValidationError):
        check("chat-request", body)
    assert (await client.post("/v1/chat", json=body)).status_code == 422
