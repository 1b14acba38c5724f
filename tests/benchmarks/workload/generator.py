"""The load, in a process of its own: changes and queries on a fixed timetable, and eyes that look for the changes.

Open loop: what is due is sent when it is due, whatever became of what was sent before, and every time is taken from the
timetable, so that a system that stalls is charged for all that should have happened meanwhile (no coordinated omission).

A change is committed at its time on the timetable. A part of the changes is followed: `GET /v1/items/{sku}` is asked
again and again until the answer shows the change; the end of that answer is the moment of visibility. The questions lie
15 ms apart (after 300 ms, a twentieth of the age), so the figure is too high by at most that and never too low.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from aiokafka import AIOKafkaProducer

from tests.benchmarks.workload.catalogue import Catalogue
from tests.benchmarks.workload.changes import Change, changes
from tests.benchmarks.workload.http import HttpPool
from tests.benchmarks.workload.queries import Query, distinct_queries

_FIRST_LOOK_S = 0.03
_LOOK_SHARE = 0.05
_REFUSED_REST_S = 0.2
_GIVE_UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: rates a second, seconds, and where to. Rate 0 sends none."""

    bootstrap: str
    topic: str
    host: str
    port: int
    quick: bool
    seed: int
    seconds: float
    changes_per_s: float
    queries_per_s: float
    followed_per_s: float
    health_per_s: float = 0.0
    clients: int = 0
    """Where there are any, queries are asked by so many, each again as soon as it is answered, instead of on a timetable."""
    look_every_s: float = 0.015
    first_change: int = 0
    """Changes of the seed `changes_seed` that earlier loads have sent to this system: what they deleted shows no later price."""
    changes_seed: int | None = None
    """The seed of the changes alone; None: `seed`."""


@dataclass(slots=True)
class Observed:
    """Milliseconds of everything, each from its time on the timetable."""

    visible: dict[str, list[float]] = field(default_factory=dict)
    """By kind of change."""
    queries: list[float] = field(default_factory=list)
    """All of them, whatever was answered."""
    good: list[float] = field(default_factory=list)
    """Those that were answered whole."""
    refused: list[float] = field(default_factory=list)
    """Those that were answered 429."""
    health: list[float] = field(default_factory=list)
    acknowledged: list[float] = field(default_factory=list)
    """Until Kafka had the change."""
    counts: Counter[str] = field(default_factory=Counter)
    longest_pause_ms: float = 0.0
    """How long this process itself was kept from running: what lies in every figure and is not the system's."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "counts": dict(self.counts)}


class Generator:
    """Sends one load and observes what becomes of it."""

    def __init__(self, load: Load, producer: Any) -> None:
        self._load = load
        self._producer = producer
        self._queries = HttpPool(load.host, load.port, 64)
        self._looks = HttpPool(load.host, load.port, 32)
        self._tasks: set[asyncio.Task[None]] = set()
        self._draw = random.Random(load.seed)
        self.observed = Observed()

    async def run(self, catalogue: Catalogue) -> Observed:
        """Send everything and wait for what was followed."""
        load = self._load
        begin = asyncio.get_running_loop().time() + 0.5
        timetable = [
            self._sender(load.changes_per_s, begin, self._change, self._changes(catalogue)),
            self._sender(load.queries_per_s, begin, self._query, distinct_queries(catalogue, load.seed)),
            self._clients(load.clients, begin, distinct_queries(catalogue, load.seed)),
            self._sender(load.health_per_s, begin, self._health, iter(lambda: None, 0)),
        ]
        watch = asyncio.create_task(self._watch_itself())
        await asyncio.gather(*timetable)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        watch.cancel()
        await self._queries.close()
        await self._looks.close()
        return self.observed

    async def _sender(
        self, rate: float, begin: float, send: Callable[[Any, float], Coroutine[Any, Any, None]], items: Iterator[Any]
    ) -> None:
        """Exponential gaps: what arrives from many independent sources (a Poisson process)."""
        if not rate:
            return
        loop, draw = asyncio.get_running_loop(), random.Random(self._load.seed + 1)
        due = begin
        for item in items:
            due += draw.expovariate(rate)
            if due > begin + self._load.seconds:
                return
            if (early := due - loop.time()) > 0:
                await asyncio.sleep(early)
            task = asyncio.create_task(send(item, due))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    async def _clients(self, clients: int, begin: float, queries: Iterator[Query]) -> None:
        """A closed loop: what the system can do when it is asked for no more than that."""
        loop = asyncio.get_running_loop()

        async def client() -> None:
            await asyncio.sleep(max(0.0, begin - loop.time()))
            while loop.time() < begin + self._load.seconds:
                before = len(self.observed.refused)
                await self._query(next(queries), loop.time())
                if len(self.observed.refused) > before:
                    await asyncio.sleep(_REFUSED_REST_S)

        await asyncio.gather(*(client() for _ in range(clients)))

    def _done(self, task: asyncio.Task[None]) -> None:
        """A request that failed is no measurement, but it is told."""
        self._tasks.discard(task)
        error = task.exception()
        if error is not None:
            self.observed.counts["failed"] += 1
            print(f"a request failed: {error!r}", file=sys.stderr)

    def _changes(self, catalogue: Catalogue) -> Iterator[Change]:
        seed = self._load.seed if self._load.changes_seed is None else self._load.changes_seed
        return itertools.islice(changes(catalogue, seed), self._load.first_change, None)

    async def _change(self, change: Change, due: float) -> None:
        loop = asyncio.get_running_loop()
        committed_us = time.time_ns() // 1000 - int((loop.time() - due) * 1e6)
        sent = await self._producer.send(
            self._load.topic, change.encode(committed_us), key=change.key.kafka_key, timestamp_ms=committed_us // 1000
        )
        followed = self._draw.random() < self._load.followed_per_s / self._load.changes_per_s
        self.observed.counts[str(change.kind)] += 1
        await sent
        self.observed.acknowledged.append(1e3 * (loop.time() - due))
        if followed:
            await self._follow(change, due)

    async def _follow(self, change: Change, due: float) -> None:
        loop = asyncio.get_running_loop()
        path = f"/v1/items/{quote(change.key.sku, safe='')}?tenant={change.key.tenant}"
        look = max(loop.time(), due + _FIRST_LOOK_S)
        while loop.time() < due + _GIVE_UP_S:
            await asyncio.sleep(max(0.0, look - loop.time()))
            answer = await self._looks.get(path)
            seen = loop.time()
            self.observed.counts["looks"] += 1
            if change.visible_in(answer.status, answer.body):
                self.observed.visible.setdefault(str(change.kind), []).append(1e3 * (seen - due))
                return
            look = seen + max(self._load.look_every_s, _LOOK_SHARE * (seen - due))
        self.observed.counts["never_seen"] += 1

    async def _query(self, query: Query, due: float) -> None:
        loop = asyncio.get_running_loop()
        body = orjson.dumps({"tenant": query.tenant, "text": query.text})
        answer = await self._queries.post("/v1/search", body)
        self.observed.queries.append(1e3 * (loop.time() - due))
        if answer.status == 429:
            self.observed.refused.append(self.observed.queries[-1])
        if answer.status != 200:
            self.observed.counts[f"query_status_{answer.status}"] += 1
        elif b'"degraded":[]' not in answer.body:
            self.observed.counts["query_degraded"] += 1
        else:
            self.observed.good.append(self.observed.queries[-1])

    async def _health(self, _: None, due: float) -> None:
        loop = asyncio.get_running_loop()
        await self._looks.get("/healthz")
        self.observed.health.append(1e3 * (loop.time() - due))

    async def _watch_itself(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(0.005)
            self.observed.longest_pause_ms = max(self.observed.longest_pause_ms, 1e3 * (loop.time() - before) - 5)


async def run(load: Load) -> Observed:
    """Run one load against a system that is ready."""
    catalogue = Catalogue.load(quick=load.quick)
    producer = AIOKafkaProducer(bootstrap_servers=load.bootstrap, acks="all", linger_ms=0)
    await producer.start()
    try:
        return await Generator(load, producer).run(catalogue)
    finally:
        await producer.stop()


def main() -> None:
    """Read a load as JSON from standard input, write what was observed to the file named on the command line."""
    load = Load(**json.load(sys.stdin))
    observed = asyncio.run(run(load))
    Path(sys.argv[1]).write_bytes(orjson.dumps(observed.as_json()))


if __name__ == "__main__":
    main()
