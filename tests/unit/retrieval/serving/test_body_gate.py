"""A body is read after its sender's key was found good, within its bytes and its time, whatever the route does with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import orjson
import pytest
from fastapi import FastAPI, Request

from runtime.http.problems import install_problem_handlers
from runtime.rights.body_gate import BodyBounds, BodyGateMiddleware
from runtime.rights.keys import Access
from runtime.rights.settings import KeyGrant

KEY = "north-key-0123456789"
GUARDED = Access({"norte": (KeyGrant.model_validate(KEY),)})
OPEN = Access({})
BOUNDS = BodyBounds(100, {"/large": 1_000}, grace_s=0.05, least_bytes_per_s=1 << 20)


def application(access: Access, bounds: BodyBounds) -> FastAPI:
    app = FastAPI()

    @app.post("/json")
    async def read_json(body: dict[str, int]) -> int:
        return len(body)

    @app.post("/large")
    async def read_all(request: Request) -> int:
        return len(await request.body())

    @app.get("/json")
    async def nothing() -> int:
        return 0

    install_problem_handlers(app)
    app.add_middleware(BodyGateMiddleware, access=access, bounds=bounds)
    return app


class Caller:
    """One request at the level of ASGI: what it sends, how slowly, and how often it was asked for more."""

    def __init__(self, pieces: Sequence[bytes] = (b"{}",), *, pause_s: float = 0.0) -> None:
        self._pieces = list(pieces)
        self._pause_s = pause_s
        self.asked = 0
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""

    async def send(self, app: FastAPI, path: str = "/json", method: str = "POST", **headers: str) -> Caller:
        named = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "scheme": "http",
            "query_string": b"",
            "headers": [(name.encode(), text.encode()) for name, text in named.items()],
        }
        await app(scope, self._receive, self._answer)
        return self

    async def _receive(self):
        self.asked += 1
        await asyncio.sleep(self._pause_s)
        piece = self._pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}

    async def _answer(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode().lower(): text.decode() for name, text in message["headers"]}
        self.body += message.get("body", b"")

    @property
    def code(self) -> str:
        return orjson.loads(self.body)["code"]


@pytest.mark.parametrize(("key", "status"), [({}, 401), ({"x_api_key": "wrong"}, 403), ({"x_api_key": KEY}, 200)])
@pytest.mark.parametrize("path", ["/json", "/large", "/nowhere"])
async def test_no_byte_is_read_before_the_key_is_known(path, key, status):
    caller = await Caller().send(application(GUARDED, BOUNDS), path, content_length="2", **key)
    if status == 200:
        assert caller.status == (404 if path == "/nowhere" else 200)
    else:
        assert (caller.status, caller.asked) == (status, 0)
        assert caller.headers["connection"] == "close"


async def test_a_request_without_a_body_is_the_routes_own_affair_and_one_with_it_is_not():
    app = application(GUARDED, BOUNDS)
    assert (await Caller().send(app, method="GET")).status == 200
    assert (await Caller().send(app, method="GET", transfer_encoding="chunked")).status == 401
    assert (await Caller().send(app, method="GET", content_length="1")).status == 401


@pytest.mark.parametrize(
    ("path", "size", "status"), [("/json", 101, 413), ("/large", 1_000, 200), ("/large", 1_001, 413)]
)
@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_has_as_many_bytes_as_its_path_takes(path, size, status, announced):
    length = {"content_length": str(size)} if announced else {}
    caller = await Caller([b" " * 50, b" " * (size - 50)]).send(application(OPEN, BOUNDS), path, **length)
    assert caller.status == status
    if status == 413:
        assert (caller.code, caller.headers["connection"]) == ("content_too_large", "close")
        assert caller.asked == (0 if announced else 2)


@pytest.mark.parametrize("path", ["/json", "/large"])
async def test_a_sender_that_is_too_slow_is_cut(path):
    caller = await Caller([b" "] * 50, pause_s=0.02).send(application(OPEN, BOUNDS), path)
    assert (caller.status, caller.code, caller.headers["connection"]) == (408, "request_timeout", "close")
    assert caller.asked < 10


async def test_only_waiting_for_the_sender_counts():
    app = FastAPI()

    @app.post("/slow")
    async def work(request: Request) -> int:
        pieces = 0
        async for _ in request.stream():
            pieces += 1
            await asyncio.sleep(0.06)
        return pieces

    app.add_middleware(BodyGateMiddleware, access=OPEN, bounds=BodyBounds(100, grace_s=0.3))
    assert (await Caller([b" "] * 6).send(app, "/slow")).status == 200


async def test_a_sender_that_goes_on_as_fast_as_it_must_is_waited_for():
    bounds = BodyBounds(1_000, grace_s=0.3, least_bytes_per_s=1_000)
    assert (await Caller([b" " * 100] * 6, pause_s=0.07).send(application(OPEN, bounds), "/large")).status == 200


@pytest.mark.parametrize("body", [b"[" * 60_000, b'{"a":' * 12_000, b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"])
async def test_a_body_that_is_nested_beyond_reason_is_a_problem(body):
    caller = await Caller([body]).send(application(OPEN, BodyBounds(65_536)))
    assert caller.status in {400, 422}


async def test_of_very_many_faults_the_first_are_named():
    body = orjson.dumps({f"n{number}": "x" for number in range(4_000)})
    caller = await Caller([body]).send(application(OPEN, BodyBounds(65_536)))
    problem = orjson.loads(caller.body)
    assert (caller.status, len(problem["errors"])) == (422, 20)
    assert "4000 faults in all, the first 20 are named" in problem["detail"]
