"""The contract of thread state over every store.

Redis joins when `FERROFLUX_TEST_REDIS_URL` names a server with the JSON and search modules (Redis 8, say).
"""

import os
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from agent.checkpoints.embedded import MemoryCheckpoints
from agent.checkpoints.servers import open_checkpoints
from agent.settings import CheckpointKind, CheckpointSettings, DatabaseSettings
from tests.contracts.checkpointer_suite import CheckpointerContract, Opened
from tests.support.agent.databases import fresh_postgres

REDIS_URL = os.environ.get("FERROFLUX_TEST_REDIS_URL", "")


def opening(settings: CheckpointSettings, database: DatabaseSettings) -> Opened:
    @asynccontextmanager
    async def opened():
        checkpoints = await open_checkpoints(settings, database)
        yield checkpoints
        await checkpoints.close()

    return opened


class TestMemory(CheckpointerContract):
    @pytest.fixture
    async def opened(self) -> Opened:
        checkpoints = MemoryCheckpoints()  # one memory: what "another process" sees is another part of this one

        @asynccontextmanager
        async def opened():
            yield checkpoints

        return opened


class TestSqlite(CheckpointerContract):
    @pytest.fixture
    async def opened(self, tmp_path) -> Opened:
        return opening(CheckpointSettings(kind=CheckpointKind.SQLITE), DatabaseSettings(directory=tmp_path / "agent"))


@pytest.mark.integration
class TestPostgres(CheckpointerContract):
    @pytest.fixture
    async def opened(self, postgres):
        async with fresh_postgres(postgres) as database:
            yield opening(CheckpointSettings(kind=CheckpointKind.POSTGRES), database)


@pytest.mark.skipif(not REDIS_URL, reason="FERROFLUX_TEST_REDIS_URL names no Redis")
class TestRedis(CheckpointerContract):
    @pytest.fixture
    async def opened(self, tmp_path) -> Opened:
        settings = CheckpointSettings(kind=CheckpointKind.REDIS, url=SecretStr(REDIS_URL))
        return opening(settings, DatabaseSettings(directory=tmp_path))
