"""Stateless workers on real PostgreSQL: turns of one thread alternate between processes, and one dies in mid-turn."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.agent.databases import fresh_postgres
from tests.support.processes import ManagedProcess, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.slow]


class Worker:
    """One agent process and its address."""

    def __init__(self, name: str, url: str, log_dir: Path, *options: str) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "tests.support.agent.worker", str(self.port), url, *options]
        self.process = ManagedProcess(name, command, log_dir=log_dir)
        self.process.start()

    def is_ready(self) -> bool:
        assert self.process.running, self.process.tail()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/readyz").is_success
        except httpx.TransportError:
            return False

    async def say(self, message: str, *, key: str = "", thread: str = "thread-1") -> dict:
        headers = {"Idempotency-Key": key} if key else {}
        body = {"tenant": "norte", "thread": thread, "message": message}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=30) as client:
            response = await client.post("/v1/chat", json=body, headers=headers)
        assert response.is_success, response.text
        return response.json()


@asynccontextmanager
async def workers(url: str, log_dir: Path, *options: str) -> AsyncIterator[list[Worker]]:
    started = [Worker(f"worker-{place}", url, log_dir, *option.split()) for place, option in enumerate(options)]
    try:
        for worker in started:
            await asyncio.to_thread(wait_until, worker.is_ready, timeout=60, what=worker.process.name)
        yield started
    finally:
        for worker in started:
            await asyncio.to_thread(worker.process.stop)


async def test_two_processes_serve_alternating_turns_of_one_thread(postgres, tmp_path) -> None:
    async with fresh_postgres(postgres) as database, workers(database.libpq_url, tmp_path, "", "") as (one, two):
        await one.say("martillo de 16")
        added = await two.say("dame 3 del primero")
        assert [(line["sku"], line["quantity"]) for line in added["order"]["lines"]] == [("MAR-16", "3")]
        added = await one.say("y 2 del segundo")
        assert {line["sku"]: line["quantity"] for line in added["order"]["lines"]} == {"MAR-16": "3", "MAR-20": "2"}
        assert added["order"]["total"] == "661.50"
        submitted, again = await asyncio.gather(two.say("confirmo", key="yes"), one.say("confirmo", key="yes"))
        assert len(submitted["submitted"]) == 1
        assert submitted["submitted"] == again["submitted"]


async def test_the_next_worker_finishes_the_turn_of_one_that_died_and_adds_nothing_twice(postgres, tmp_path) -> None:
    async with (
        fresh_postgres(postgres) as database,
        workers(database.libpq_url, tmp_path, "die", "") as (dying, next_one),
    ):
        await next_one.say("martillo de 16")
        with pytest.raises(httpx.TransportError):
            await dying.say("dame 3 del primero", key="the-three")
        # The connection breaks a moment before the process is gone.
        await asyncio.to_thread(wait_until, lambda: not dying.process.running, timeout=10, what="the worker's end")
        resent = await next_one.say("dame 3 del primero", key="the-three")
        assert [(line["sku"], line["quantity"]) for line in resent["order"]["lines"]] == [("MAR-16", "3")]
        shown = await next_one.say("ver pedido")
        assert [line["quantity"] for line in shown["order"]["lines"]] == ["3"]
