"""Threads in Redis (with its JSON and search modules): fast and shared, for those who run it anyway."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Self

from langgraph.checkpoint.redis.aio import AsyncRedisSaver
from redis.asyncio import Redis

from agent.checkpoints.errors import store_failures_as_ours
from agent.checkpoints.serialization import StrictRedisSerializer

_MINUTES_A_DAY: Final = 1440.0


class RedisCheckpoints:
    """The port over LangGraph's saver; Redis itself forgets a thread that nobody goes on with."""

    def __init__(self, client: Redis, saver: AsyncRedisSaver) -> None:
        self._client = client
        self.saver: AsyncRedisSaver = saver

    @classmethod
    async def open(cls, url: str, *, expire_days: float, timeout_s: float) -> Self:
        """Connect, and make the saver's search indexes. The URL may hold a password: it is not logged.

        Raises:
            CheckpointsUnavailableError: the server does not answer, or lacks the JSON and search modules.
        """
        client: Redis = Redis.from_url(url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s)
        ttl: dict[str, Any] = {"default_ttl": expire_days * _MINUTES_A_DAY, "refresh_on_read": True}
        with store_failures_as_ours():
            try:
                await client.ping()
                saver = AsyncRedisSaver(redis_client=client, ttl=ttl)
                # The saver takes no serialiser, so its own, which builds objects by name, is replaced.
                saver.serde = StrictRedisSerializer()
                await saver.asetup()
            except BaseException:
                await client.aclose()
                raise
        return cls(client, saver)

    async def trim(self, keys: Sequence[str]) -> None:
        """Keep only the newest checkpoint of each thread."""
        with store_failures_as_ours():
            if keys:
                await self.saver.aprune(list(keys), strategy="keep_latest")

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete these threads."""
        with store_failures_as_ours():
            for key in keys:
                await self.saver.adelete_thread(key)

    async def ping(self) -> None:
        """Ask the server."""
        with store_failures_as_ours():
            await self._client.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
