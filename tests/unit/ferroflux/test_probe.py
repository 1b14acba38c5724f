"""The probe against a fake API: stages from the product's own times, what counts as seen, and the verdict."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import httpx
import orjson
import pytest

from ferroflux.cli.use.probe import line, milliseconds
from ferroflux.operations.probe import Passage, Prober, UnseenError, summarise
from schemas.errors import ConfigurationError, InvalidRequestError, LogUnavailableError
from schemas.identity import PROBE_TENANT

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(micros: int) -> str:
    return (EPOCH + timedelta(microseconds=micros)).isoformat()


class System:
    """A target and an API in one: a change shows after so many looks, each stage a millisecond after the one before."""

    name = "fake"

    def __init__(self, *, looks: int = 2, status: int = 200, refuse: Exception | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self._looks, self._left = looks, looks
        self._status, self._refuse = status, refuse
        self.now = 1_700_000_000_000_000

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def send(self, changes: Any) -> None:
        if self._refuse:
            raise self._refuse
        self.events += [orjson.loads(change.value) for change in changes]
        self._left = self._looks

    def now_us(self) -> int:
        self.now += 500
        return self.now

    async def answer(self, request: httpx.Request) -> httpx.Response:
        assert request.url.params["tenant"] == PROBE_TENANT
        if self._status != 200:
            return httpx.Response(self._status, json={"title": "no"})
        self._left -= 1
        if not self.events or self._left > 0:
            return httpx.Response(404, json={"title": "none"})
        changed = max(_micros(event["changed_at"]) for event in self.events)
        times = {
            "changed_at": changed,
            "logged_at": changed + 1000,
            "indexed_at": changed + 2000,
            "visible_at": changed + 3000,
        }
        self.now = changed + 4000
        return httpx.Response(200, json={"sku": "p", **{name: instant(micros) for name, micros in times.items()}})

    def prober(self, timeout_s: float = 5.0) -> Prober:
        prober = Prober(self, "http://fake", sku="p", timeout_s=timeout_s, clock=self)
        prober._api = httpx.AsyncClient(base_url="http://fake", transport=httpx.MockTransport(self.answer))
        return prober


def _micros(changed_at: Any) -> int:
    return (
        changed_at
        if isinstance(changed_at, int)
        else int((datetime.fromisoformat(changed_at) - EPOCH) / timedelta(microseconds=1))
    )


async def test_a_change_is_followed_through_its_stages_and_the_product_deleted_at_the_end() -> None:
    system = System()
    async with system.prober() as prober:
        await prober.change_text()
        passage = await prober.change_price()
    stages = passage.stages_ms()
    assert stages.keys() == {"log", "index", "commit", "visible", "total"}
    assert (stages["log"], stages["index"], stages["commit"]) == (1.0, 1.0, 1.0)
    assert stages["total"] == pytest.approx(sum(stages.values()) - stages["total"])
    assert [event.get("facet", "item") for event in system.events] == ["item", "price", "item"]
    assert system.events[-1]["op"] == "delete"
    assert {event["tenant"] for event in system.events} == {PROBE_TENANT}


async def test_a_change_that_never_shows_is_said_to_be_unseen() -> None:
    system = System(looks=10**9)
    async with system.prober(timeout_s=0.05) as prober:
        with pytest.raises(UnseenError, match=r"not visible after 0\.05 s"):
            await prober.change_price()


async def test_a_refused_key_is_no_slow_system() -> None:
    async with System(status=403).prober() as prober:
        with pytest.raises(InvalidRequestError, match="needs one of its own"):
            await prober.change_price()


async def test_a_change_that_is_not_taken_is_told_at_once() -> None:
    system = System(refuse=LogUnavailableError("away"))
    prober = system.prober(timeout_s=30)
    async with asyncio.timeout(5):
        with pytest.raises(LogUnavailableError):
            await prober.change_price()


def test_times_that_are_not_known_leave_their_stages_out() -> None:
    passage = Passage(changed_us=1_000, logged_us=0, indexed_us=0, committed_us=0, seen_us=6_000)
    assert passage.stages_ms() == {"total": 5.0}
    assert summarise([passage]).keys() == {"total"}
    assert line(3, passage) == "   3  total 5 ms"


def test_clocks_that_differ_give_no_negative_time() -> None:
    assert Passage(5_000, 3_000, 4_000, 4_500, 6_000).stages_ms()["log"] == 0


@pytest.mark.parametrize(
    ("text", "expected"), [("600ms", 600), ("1s", 1000), ("2", 2000), ("0.5m", 30_000), (" 1.5 s ", 1500)]
)
def test_a_duration_is_read_as_people_write_it(text: str, expected: float) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "fast", "1h", "-1s", "1,5s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="no duration"):
        milliseconds(text)
