"""Server-sent events: frames, a sign of life while a turn is long, and failures after the stream began."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

import structlog
from fastapi import Request

from runtime.http.problems import internal_problem, of_ferroflux
from schemas.errors import FerrofluxError

log = structlog.get_logger(__name__)

_ALIVE_S: Final = 10.0
_ALIVE: Final = b": still at it\n\n"


async def event_stream(request: Request, events: AsyncIterator[tuple[str, str]]) -> AsyncIterator[bytes]:
    """Frames of (name, JSON). A failure before the first event is raised; after it, it is an event `problem`.

    One task reads `events` from beginning to end, since a turn's time limit and its lease belong to one task. When the
    person goes away, it is cancelled, and the next message of the conversation finishes what it had begun.
    """
    queue: asyncio.Queue[tuple[str, str] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            async for event in events:
                queue.put_nowait(event)
        finally:
            queue.put_nowait(None)

    reading = asyncio.create_task(read(), name="turn")
    begun = False
    try:
        while True:
            try:
                async with asyncio.timeout(_ALIVE_S):
                    event = await queue.get()
            except TimeoutError:
                begun = True
                yield _ALIVE
                continue
            if event is None:
                break
            begun = True
            yield frame(*event)
        await reading
    except FerrofluxError as error:
        if not begun:
            raise
        yield frame("problem", bytes((await of_ferroflux(request, error)).body).decode())
    except Exception:
        if not begun:
            raise
        log.exception("stream crashed")
        yield frame("problem", bytes(internal_problem(request).body).decode())
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


def frame(name: str, data: str) -> bytes:
    """One event; JSON of one line needs no further escaping."""
    return f"event: {name}\ndata: {data}\n\n".encode()
