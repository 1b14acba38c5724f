"""Secrets that this installation makes for itself, the same in every worker and after every restart."""

from __future__ import annotations

import secrets as random
from typing import Final

from sqlalchemy import select

from agent.storage.database import Database
from agent.storage.tables import secrets

_BYTES: Final = 32


async def installation_secret(database: Database, name: str) -> bytes:
    """The secret of that name; the first to ask makes it.

    Raises:
        DatabaseUnavailableError: it can be neither read nor kept.
    """
    async with database.write() as connection:
        await connection.execute(
            database.insert(secrets).values(name=name, value=random.token_hex(_BYTES)).on_conflict_do_nothing()
        )
        found = (await connection.execute(select(secrets.c.value).where(secrets.c.name == name))).scalar_one()
    return bytes.fromhex(found)
