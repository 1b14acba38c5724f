"""Bringing the database to this version's tables when a process starts.

Several processes may start at once: on PostgreSQL an advisory lock lets one migrate while the others wait, on SQLite
the write transaction does. With `SKIP_MIGRATIONS` set nothing is changed (an operator's job does it, say), and a
database at another revision is refused with the reason, since the first order would fail on it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from schemas.errors import FatalError

log = structlog.get_logger(__name__)

SKIP_VARIABLE: Final = "SKIP_MIGRATIONS"

_FOLDER: Final = Path(__file__).with_name("migrations")
_ADVISORY_LOCK: Final = 0x666572726F  # "ferro": any number will do, so long as every process takes the same


class OutdatedDatabaseError(FatalError):
    """The agent's database is at another revision than this version's. Start one process without SKIP_MIGRATIONS, or a newer version."""

    code = "outdated_database"


def migrations_are_skipped() -> bool:
    """Whether the environment says that somebody else migrates."""
    return os.environ.get(SKIP_VARIABLE, "").strip().lower() in {"1", "true", "yes", "on"}


def migrate(connection: Connection, *, skip: bool) -> None:
    """Run what is missing, or with `skip` only check that nothing is. The connection is in a transaction of its own.

    Raises:
        OutdatedDatabaseError: the database is newer than this version, or older and `skip` is set.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(_FOLDER))
    # Our migrations' names begin with a letter, so that they can be imported and checked like other modules.
    scripts = ScriptDirectory.from_config(config)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK})
    found = MigrationContext.configure(connection).get_current_revision()
    wanted = scripts.get_current_head()
    if found == wanted:
        return
    if skip:
        raise OutdatedDatabaseError(
            f"the agent's database is at revision {found or 'none'}, and this version needs {wanted}: "
            f"start one process without {SKIP_VARIABLE}"
        )
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise OutdatedDatabaseError(
            f"the agent's database is at revision {found}, which this version does not know: start the newer version"
        )
    command.upgrade(config, "head")
    log.info("database migrated", before=found or "empty", after=wanted)
