"""Joining what an older release stored under other spellings of a SKU: once in the life of a vector index.

Nothing writes such points any more, so a file beside the index says that it was gone through. A folder without it is an older
release's, or a new one, which is gone through in no time.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import structlog

from indexer.respelling import Respeller

log = structlog.get_logger(__name__)

MARKER: Final = "one-spelling"
"""In a generation's folder; of `main` it lies in the data directory (`DataDirectory.one_spelling`)."""


async def respell_once(marker: Path, respeller: Respeller) -> int:
    """Join all of them where that was not done before; returns how many there were.

    Raises:
        RetryableError: a store or the log did not answer; the next start does it again.
    """
    if await asyncio.to_thread(marker.exists):
        return 0
    respelled = await respeller.respell_all()
    if respelled.apart:
        log.error(
            "products in other spellings of their SKU could not be joined; the next start tries again",
            products=len(respelled.apart),
            samples={str(key): fault.reason.detail for key, fault in sorted(respelled.apart.items())[:5]},
        )
    else:
        await asyncio.to_thread(marker.touch)
    return respelled.joined
