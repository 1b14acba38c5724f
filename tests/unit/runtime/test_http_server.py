"""The HTTP server beside other work: its address, its end in order, and an end that nobody asked for."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from runtime.http.server import HttpServer, HttpServerEndedError
from runtime.supervision import Supervisor
from schemas.errors import ConfigurationError


async def answer(_request) -> PlainTextResponse:
    return PlainTextResponse("ok")


APP = Starlette(routes=[Route("/", answer)])


def server(port: int = 0) -> HttpServer:
    return HttpServer(host="127.0.0.1", port=port, remedy="choose another http.port")


async def test_a_taken_port_is_a_sentence_and_a_free_one_serves_until_it_is_asked_to_end() -> None:
    first, supervisor = server(), Supervisor()
    first.listen()
    with pytest.raises(ConfigurationError, match=r"choose another http\.port"):
        server(first.port).listen()
    supervisor.start("http", lambda: first.serve(APP), ask_to_end=first.ask_to_end)
    async with httpx.AsyncClient() as client:
        assert (await client.get(first.url)).text == "ok"
    await supervisor.stop()
    assert supervisor.failure is None
    again = server(first.port)
    again.listen()  # the address is free again
    again.close()


async def test_an_end_that_nobody_asked_for_ends_the_process() -> None:
    ending, supervisor = server(), Supervisor()
    ending.listen()
    with capture_logs():
        supervisor.start("http", lambda: ending.serve(APP), ask_to_end=ending.ask_to_end)
        await ending.serving.wait()
        ending._server.should_exit = True
        failure = await asyncio.wait_for(supervisor.failed(), 5)
    assert isinstance(failure, HttpServerEndedError)
    await supervisor.stop()


async def test_an_application_that_cannot_start_ends_the_process_with_a_reason_in_the_log() -> None:
    @asynccontextmanager
    async def lifespan(_app):
        raise ConfigurationError("set the port")
        yield

    ending = server()
    ending.listen()
    with capture_logs(), pytest.raises(HttpServerEndedError):
        await ending.serve(Starlette(lifespan=lifespan), lifespan=True)
    assert ending.serving.is_set()
