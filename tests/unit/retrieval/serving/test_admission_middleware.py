"""The door of an application: what is refused, before what is read, whose share it counts for, and what metrics tell."""

import asyncio
import json
import time

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from runtime.admission.bounds import Bound
from runtime.admission.callers import OTHERS, Callers
from runtime.admission.metrics import ShedMetrics
from runtime.admission.middleware import AdmissionMiddleware, Doors
from runtime.http.problems import of_ferroflux
from runtime.rights.keys import Access
from runtime.rights.settings import KeyGrant
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem
from schemas.api.routes import RouteClass
from schemas.errors import OverloadedError

TENANTS = {"norte", "sur"}


class Application:
    """Answers when it is let go, and says what it was asked."""

    def __init__(self, bounds, *, keys=None) -> None:
        self.registry = CollectorRegistry()
        self.doors = Doors(bounds, ShedMetrics(self.registry))
        self.go, self.bodies, self.overloaded = asyncio.Event(), [], False
        callers = Callers(Access(keys or {}), lambda tenant: tenant in TENANTS)
        self.app = AdmissionMiddleware(self._answer, self.doors, callers)

    async def _answer(self, scope, receive, send) -> None:
        request = Request(scope, receive)
        self.bodies.append(await request.body())
        if self.overloaded:
            await (await of_ferroflux(request, OverloadedError()))(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": True})
        await self.go.wait()
        await send({"type": "http.response.body", "body": b""})

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://localhost")

    def shed(self) -> dict[str, float]:
        lines = generate_latest(self.registry).decode().splitlines()
        return {name: float(value) for name, _, value in (x.rpartition(" ") for x in lines) if "shed_total{" in name}


def search(tenant: str) -> dict:
    return {
        "method": "POST",
        "url": "/v1/search",
        "content": json.dumps({"text": 'a "tenant": "sur"', "tenant": tenant}),
    }


async def begun(client, application, count, **request) -> list[asyncio.Task]:
    before = len(application.bodies)
    tasks = [asyncio.create_task(client.request(**request)) for _ in range(count)]
    while len(application.bodies) < before + count:  # noqa: ASYNC110 - it counts what the application has begun
        await asyncio.sleep(0)
    return tasks


async def test_above_the_bound_a_request_is_refused_and_the_application_never_sees_it() -> None:
    application = Application({RouteClass.SEARCH: Bound(most=2)})
    async with application.client() as client:
        held = await begun(client, application, 2, **search("norte"))
        refused = await client.request(**search("norte"))
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
        problem = Problem.model_validate_json(refused.content)
        assert json.loads(problem.model_dump_json(exclude_none=True)) == refused.json()
        assert (problem.code, problem.instance) == ("too_many_requests", "/v1/search")
        assert refused.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
        assert len(application.bodies) == 2
        application.go.set()
        assert [(await one).status_code for one in held] == [200, 200]
        assert (await client.request(**search("norte"))).status_code == 200


async def test_a_place_is_held_until_the_whole_answer_is_sent() -> None:
    application = Application({RouteClass.CHAT: Bound(most=1)})
    chat = {"method": "POST", "url": "/v1/chat", "content": b'{"tenant": "norte"}'}
    async with application.client() as client:
        held = await begun(client, application, 1, **chat)
        await asyncio.sleep(0)  # the head of the answer is out, its stream is not
        assert (await client.request(**chat)).status_code == 429
        application.go.set()
        await asyncio.gather(*held)
        assert application.doors.door(RouteClass.CHAT).inside == 0


async def test_another_tenant_still_enters_where_one_fills_the_room() -> None:
    application = Application({RouteClass.SEARCH: Bound(most=4)})
    async with application.client() as client:
        held = await begun(client, application, 4, **search("norte"))
        assert (await client.request(**search("norte"))).status_code == 429
        held += await begun(client, application, 1, **search("sur"))
        assert (await client.request(**search("sur"))).status_code == 429  # now nobody could enter
        application.go.set()
        await asyncio.gather(*held)
    assert application.shed() == {
        'ferroflux_shed_total{class="search",reason="full",tenant="norte"}': 1,
        'ferroflux_shed_total{class="search",reason="full",tenant="other"}': 1,
    }


async def test_made_up_tenants_share_one_share_and_one_label() -> None:
    application = Application({RouteClass.SEARCH: Bound(most=4)})
    async with application.client() as client:
        held = await begun(client, application, 2, **search("made-up-1"))
        held += await begun(client, application, 2, **search("made-up-2"))
        for number in range(50):
            assert (await client.request(**search(f"made-up-{number}"))).status_code == 429
        assert application.doors.door(RouteClass.SEARCH).tenants == 1
        application.go.set()
        await asyncio.gather(*held)
    assert application.shed() == {f'ferroflux_shed_total{{class="search",reason="full",tenant="{OTHERS}"}}': 50}


async def test_with_keys_a_request_counts_for_the_tenant_that_its_key_opens() -> None:
    keys = {"norte": (KeyGrant.model_validate("n" * 16),), "sur": (KeyGrant.model_validate("s" * 16),)}
    application = Application({RouteClass.SEARCH: Bound(most=2)}, keys=keys)
    async with application.client() as client:
        held = await begun(client, application, 2, **search("sur"), headers={"X-API-Key": "n" * 16})
        assert (await client.request(**search("norte"), headers={"X-API-Key": "n" * 16})).status_code == 429
        application.go.set()
        await asyncio.gather(*held)
    assert list(application.shed()) == ['ferroflux_shed_total{class="search",reason="full",tenant="norte"}']


@pytest.mark.parametrize(
    "kind", ["/healthz", "/readyz", "/metrics", "/", "/assets/app.js", "/chat", "/indexer/metrics"]
)
async def test_health_metrics_and_static_files_are_answered_however_full_it_is(kind) -> None:
    application = Application({kind: Bound(most=1) for kind in RouteClass if kind is not RouteClass.EXEMPT})
    application.go.set()
    async with application.client() as client:
        for _ in range(20):
            assert (await client.get(kind)).status_code == 200


async def test_changes_are_bounded_by_their_bytes() -> None:
    application = Application({RouteClass.INTAKE: Bound(most=1024 * 1024)})
    large = {"method": "POST", "url": "/v1/changes", "content": b'{"tenant":"norte"}' + b" " * 900_000}
    async with application.client() as client:
        held = await begun(client, application, 2, **large)  # the second begins below the bound
        assert (await client.request(**large)).status_code == 429
        application.go.set()
        await asyncio.gather(*held)
        assert application.doors.door(RouteClass.INTAKE).inside == 0
    assert [len(body) for body in application.bodies] == [900_018] * 2


async def test_what_was_let_in_and_refused_for_the_encoder_is_counted_by_that_reason() -> None:
    application = Application({})
    application.overloaded = True
    async with application.client() as client:
        answer = await client.request(**search("norte"))
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
    assert application.shed() == {'ferroflux_shed_total{class="search",reason="encoder",tenant="norte"}': 1}


async def test_the_body_comes_whole_however_it_is_cut() -> None:
    application = Application({})
    application.go.set()

    async def pieces():
        for piece in (b'{"ten', b'ant": "norte", "text"', b': "x"}'):
            yield piece

    async with application.client() as client:
        await client.post("/v1/search", content=pieces())
    assert application.bodies == [b'{"tenant": "norte", "text": "x"}']


async def test_no_more_tenants_than_a_monitor_bears_are_labels() -> None:
    registry = CollectorRegistry()
    metrics = ShedMetrics(registry)
    for number in range(3_000):
        metrics.shed(RouteClass.SEARCH, "share", f"tenant-{number}")  # type: ignore[arg-type]
    assert generate_latest(registry).decode().count("ferroflux_shed_total{") == 200


async def test_a_body_that_comes_slowly_holds_no_place_and_one_that_fails_fails_where_it_is_read() -> None:
    application = Application({RouteClass.SEARCH: Bound(most=1)})
    application.go.set()
    more = asyncio.Event()

    async def trickling():
        yield b'{"tenant": "norte",'
        await more.wait()
        yield b'"text": "x"}'

    async with application.client() as client:
        slow = asyncio.create_task(client.post("/v1/search", content=trickling()))
        await asyncio.sleep(0.01)
        assert (await client.request(**search("norte"))).status_code == 200
        more.set()
        assert (await slow).status_code == 200

    async def cut():
        raise HTTPException(408)

    with pytest.raises(HTTPException):  # the application's own handlers answer it
        await application.app({"type": "http", "method": "POST", "path": "/v1/search", "headers": []}, cut, None)
    assert application.doors.door(RouteClass.SEARCH).inside == 0


async def test_a_loop_that_is_late_lets_fewer_in_until_it_has_caught_up() -> None:
    application = Application({RouteClass.SEARCH: Bound(most=128, within_s=0.25)})
    application.go.set()
    door = application.doors.door(RouteClass.SEARCH)
    async with application.client() as client:
        assert (await client.request(**search("norte"))).status_code == 200
        time.sleep(0.15)  # noqa: ASYNC251 - what is tested: the loop stands still
        await asyncio.sleep(0.03)
        assert door.limit < 12
    async with asyncio.timeout(10):
        while door.limit < 14:  # noqa: ASYNC110 - it falls with time
            await asyncio.sleep(0.02)
