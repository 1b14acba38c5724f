"""Our commands against a server that is busy: they rest as it says, ask again, and give up with its sentence."""

from collections.abc import Callable

import httpx
import pytest

from ferroflux import http_client
from ferroflux.http_client import ApiClient
from ferroflux.ingest.targets import HttpTarget
from schemas.errors import OverloadedError

BUSY = {"title": "The worker is busy", "detail": "more is being asked than can be answered in time"}


def answering(*answers: httpx.Response) -> tuple[Callable[[httpx.Request], httpx.Response], list[httpx.Request]]:
    left, asked = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return left.pop(0) if len(left) > 1 else left[0]

    return answer, asked


def busy(retry_after: str = "2") -> httpx.Response:
    return httpx.Response(429, json=BUSY, headers={"Retry-After": retry_after})


@pytest.fixture
def rests(monkeypatch) -> list[float]:
    found: list[float] = []
    monkeypatch.setattr(http_client.time, "sleep", found.append)
    return found


def client(answer: Callable[[httpx.Request], httpx.Response]) -> ApiClient:
    made = ApiClient("http://ferroflux")
    made._client = httpx.Client(transport=httpx.MockTransport(answer), base_url="http://ferroflux")
    return made


def test_a_refused_request_is_sent_again_after_as_long_as_the_server_says(rests) -> None:
    answer, asked = answering(busy(), busy("1"), httpx.Response(200, json={"hits": []}))
    assert client(answer).post("/v1/search", {"tenant": "norte"}) == {"hits": []}
    assert len(asked) == 3
    assert 2 <= rests[0] <= 3
    assert 1 <= rests[1] <= 1.5


def test_a_server_that_stays_busy_is_asked_a_few_times_and_its_sentence_is_told(rests) -> None:
    answer, asked = answering(busy())
    with pytest.raises(OverloadedError, match="more is being asked"):
        client(answer).get("/v1/status")
    assert (len(asked), len(rests)) == (4, 3)


async def test_ingest_rests_as_the_server_says(monkeypatch) -> None:
    found: list[float] = []

    async def rest(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("ferroflux.http_client.asyncio.sleep", rest)
    answer, asked = answering(busy("3"), httpx.Response(503, json=BUSY), httpx.Response(200, json={}))
    async with HttpTarget("http://ferroflux", transport=httpx.MockTransport(answer)) as target:
        await target.send([])
    assert len(asked) == 3
    assert 3 <= found[0] <= 4.5
    assert found[1] < 1  # no time was named: our own
