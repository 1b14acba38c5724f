"""The whole way to a model: LangChain's client, HTTP, and a server that behaves as real ones do on bad days."""

import time
from decimal import Decimal

import pytest
from langchain_core.messages import HumanMessage
from pydantic import SecretStr
from structlog.testing import capture_logs

from agent.planners.model import BoundModel, ModelFailedError, build_model
from agent.settings import ModelSettings
from agent.tools.dispatch import TOOLS
from schemas.errors import ConfigurationError
from tests.support.agent.models import chat_completion, openai_server, streamed, tool_call

pytestmark = pytest.mark.slow

QUESTION = [HumanMessage("clavos")]
ARGUMENTS = '{"query": "clavos"}'


@pytest.fixture
def server():
    with openai_server() as running:
        yield running


@pytest.fixture(autouse=True)
def quiet():
    with capture_logs():
        yield


def asked(server, **changes) -> BoundModel:
    settings = ModelSettings(name="small", base_url=server.url, timeout_s=2, input_price=Decimal(2), **changes)
    return BoundModel(build_model(settings), TOOLS.to_openai(), settings)


async def test_tools_go_out_and_a_tool_call_comes_back(server) -> None:
    server.answer = lambda _body: chat_completion(tool_call("catalog_search", ARGUMENTS))
    answer = await asked(server).ask(QUESTION)
    assert [(call["name"], call["args"]) for call in answer.message.tool_calls] == [
        ("catalog_search", {"query": "clavos"})
    ]
    assert (answer.input_tokens, answer.output_tokens, answer.cost) == (120, 15, Decimal("0.00024"))
    assert [tool["function"]["name"] for tool in server.asked[0]["tools"]] == [tool.name for tool in TOOLS]


async def test_a_stream_is_put_together(server) -> None:
    first = {"role": "assistant", "tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": {"name": "catalog_search", "arguments": '{"query": '}}]}  # fmt: skip
    second = {"tool_calls": [{"index": 0, "function": {"arguments": '"clavos"}'}}]}
    server.answer = lambda _body: streamed(first, second)
    answer = await asked(server, stream=True).ask(QUESTION)
    assert answer.message.tool_calls[0]["args"] == {"query": "clavos"}
    assert (answer.input_tokens, answer.estimated) == (7, False)


async def test_a_server_that_does_not_count_is_counted_for(server) -> None:
    server.answer = lambda _body: chat_completion({"content": "¿cuántos?"}, usage=False)
    answer = await asked(server).ask(QUESTION)
    assert answer.estimated
    assert answer.input_tokens > 0


async def test_arguments_that_are_no_json_come_back_as_an_invalid_call(server) -> None:
    server.answer = lambda _body: chat_completion(tool_call("catalog_search", '{"query": '))
    assert (await asked(server).ask(QUESTION)).message.invalid_tool_calls


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((429, "application/json", b'{"error": {"message": "slow down"}}'), "rate_limited"),
        ((500, "application/json", b'{"error": {"message": "oops"}}'), "unavailable"),
        ((401, "application/json", b'{"error": {"message": "bad key sk-secret"}}'), "refused"),
        ((200, "application/json", b"<html>gateway</html>"), "unavailable"),
        ((200, "application/json", b'{"choices": []}'), "unavailable"),
    ],
)
async def test_a_bad_day_has_its_name(server, answer, reason) -> None:
    server.answer = lambda _body: answer
    with pytest.raises(ModelFailedError) as caught:
        await asked(server).ask(QUESTION)
    assert caught.value.reason == reason
    assert len(server.asked) == 1, "the next planner is asked, not the same server again"


async def test_an_answer_that_does_not_come_is_not_waited_for(server) -> None:
    def late(_body):
        time.sleep(0.6)
        return chat_completion({"content": "tarde"})

    server.answer = late
    settings = ModelSettings(name="small", base_url=server.url, timeout_s=0.2)
    with pytest.raises(ModelFailedError, match="timeout"):
        await BoundModel(build_model(settings), TOOLS.to_openai(), settings).ask(QUESTION)


def test_a_model_that_cannot_be_had_is_refused_without_the_key() -> None:
    with pytest.raises(ConfigurationError) as caught:
        build_model(ModelSettings(name="x", provider="nobody", api_key=SecretStr("sk-very-secret")))
    assert "sk-very-secret" not in str(caught.value)
