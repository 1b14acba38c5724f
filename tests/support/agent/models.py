"""Chat models that need no network: one with a script, and a small server that speaks the OpenAI protocol."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from pydantic import Field


def calling(*calls: tuple[str, dict[str, Any]], text: str = "", tokens: tuple[int, int] = (100, 10)) -> AIMessage:
    """A model's message that asks for tools."""
    return AIMessage(
        text,
        tool_calls=[{"name": name, "args": args, "id": f"c{place}"} for place, (name, args) in enumerate(calls)],
        usage_metadata={"input_tokens": tokens[0], "output_tokens": tokens[1], "total_tokens": sum(tokens)},
    )


class ScriptedModel(BaseChatModel):
    """Gives its answers in order; an exception among them is raised. `seen` are the messages that it was given."""

    script: list[Any] = Field(default_factory=list)
    seen: list[list[BaseMessage]] = Field(default_factory=list)
    tools: list[Any] = Field(default_factory=list)

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def bind_tools(self, tools: Sequence[Any], **_: Any) -> Runnable[Any, AIMessage]:
        self.tools = list(tools)
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        self.seen.append(messages)
        answer = self.script.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return ChatResult(generations=[ChatGeneration(message=answer)])


Answer = Callable[[dict[str, Any]], tuple[int, str, bytes]]
"""From the request's body to status, media type and body."""


def chat_completion(message: dict[str, Any], *, usage: bool = True) -> tuple[int, str, bytes]:
    body: dict[str, Any] = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "small",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}],
    }
    if usage:
        body["usage"] = {"prompt_tokens": 120, "completion_tokens": 15, "total_tokens": 135}
    return 200, "application/json", json.dumps(body).encode()


def tool_call(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": function}]}


def streamed(*deltas: dict[str, Any]) -> tuple[int, str, bytes]:
    frames = [
        {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "small",
         "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]  # fmt: skip
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    frames.append({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "small", "choices": [], "usage": usage})  # fmt: skip
    text = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"
    return 200, "text/event-stream", text.encode()


class OpenAiServer:
    """What it was asked, and the answer that the test gives."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.asked: list[dict[str, Any]] = []
        self.answer: Answer = lambda _body: chat_completion({"content": ""})


@contextmanager
def openai_server() -> Iterator[OpenAiServer]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.asked.append(body)
            status, media_type, content = server.answer(body)
            try:
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                return  # the client's time was over

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
            """Quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = OpenAiServer(f"http://127.0.0.1:{httpd.server_address[1]}/v1")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
