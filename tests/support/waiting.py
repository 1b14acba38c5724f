"""Waiting for something that another task or process does."""

import asyncio
from collections.abc import Callable


async def eventually(condition: Callable[[], object], *, timeout: float = 5, pause: float = 0.001) -> None:
    """Return once `condition` gives something true; TimeoutError after `timeout` seconds."""
    async with asyncio.timeout(timeout):
        while not condition():  # noqa: ASYNC110 - what is waited for may be another process, which sets no event of ours
            await asyncio.sleep(pause)
