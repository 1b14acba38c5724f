"""The real application over SQLite and memory, with a runtime of the test's choice."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from agent.api.app import create_app
from agent.chat import ChatService
from agent.checkpoints.embedded import MemoryCheckpoints
from agent.conversation.thread_names import ThreadNames
from agent.metrics import AgentMetrics
from agent.orders.outbox import Outbox
from agent.orders.relay import OrderService
from agent.orders.store import OrderStore
from agent.process import AgentParts, AgentProcess
from agent.settings import AgentHttpSettings, DatabaseSettings
from agent.storage.database import Database
from agent.threads.leases import ThreadLeases
from agent.threads.log import TurnLog
from agent.threads.registry import ThreadRegistry
from agent.tracing import TurnSpans
from runtime.supervision import Supervisor
from tests.support.agent.runtime import FixedRuntime


class Serving:
    """One application under test and what is inside of it."""

    def __init__(self, directory: Path, *, turn_s: float = 30.0, **http) -> None:
        self._directory = directory
        self._turn_s = turn_s
        self._http = AgentHttpSettings(**http)
        self.metrics = AgentMetrics(CollectorRegistry())
        self.runtime: FixedRuntime
        self.orders: OrderStore
        self.spans = TurnSpans(None)

    def app(self) -> FastAPI:
        return create_app(AgentProcess(self._open, backlog_s=60, supervisor=Supervisor()), self._http, self.metrics)

    async def _open(self, stack: AsyncExitStack) -> AgentParts:
        database = await Database.open(DatabaseSettings(directory=self._directory))
        stack.push_async_callback(database.close)
        leases = ThreadLeases(database, wait_s=2)
        self.orders = OrderStore(database)
        self.runtime = FixedRuntime(OrderService(self.orders, lambda _order: self.metrics.submitted()), leases)
        checkpoints = MemoryCheckpoints()
        threads = ThreadRegistry(database, checkpoints, leases)
        self.apart = threads.apart
        chat = ChatService(
            self.runtime,
            TurnLog(database),
            threads,
            self.orders,
            self.metrics,
            self.spans,
            names=ThreadNames(b"one secret of thirty-two bytes.."),
            turn_s=self._turn_s,
        )
        return AgentParts(chat, database, checkpoints, Outbox(database))


@asynccontextmanager
async def calling(app: FastAPI, **client) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost", **client) as caller,
    ):
        while (await caller.get("/readyz")).status_code != 200:
            pass
        yield caller
