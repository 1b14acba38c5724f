"""Where the agent's database is: a file beside the process, or a PostgreSQL server that several processes share."""

from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

_SQLITE: Final = "sqlite+aiosqlite"
_POSTGRES: Final = "postgresql+asyncpg"
_DRIVERS: Final = {
    "sqlite": _SQLITE,
    _SQLITE: _SQLITE,
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    _POSTGRES: _POSTGRES,
}


class DatabaseSettings(BaseModel):
    """One URL; empty means SQLite in `directory`, which one machine's processes may share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr = Field(
        SecretStr(""), description="`postgresql://user:password@host/database`, or `sqlite:///path`; empty: a file in `directory`."
    )  # fmt: skip
    directory: Path = Field(Path("var/agent"), description="Folder of the SQLite files; created where it is absent.")
    pool: int = Field(10, ge=1, le=200, description="Connections that a process holds open to PostgreSQL.")
    timeout_s: float = Field(10.0, gt=0, le=120, description="Wait for a connection, or for SQLite's one writer.")

    @model_validator(mode="after")
    def _url_is_one_of_ours(self) -> Self:
        given = self.url.get_secret_value()
        if given and (_parsed(given) is None or self.sqlalchemy_url.drivername not in {_SQLITE, _POSTGRES}):
            # The URL itself stays out of the sentence: it holds a password.
            raise ValueError("database.url is none of sqlite:///path and postgresql://user:password@host/database")
        return self

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file."""
        return self.sqlalchemy_url.drivername == _SQLITE

    @property
    def sqlalchemy_url(self) -> URL:
        """The URL with the asynchronous driver that we use."""
        given = self.url.get_secret_value()
        if not given:
            return URL.create(_SQLITE, database=str(self.directory / "agent.db"))
        parsed = _parsed(given)
        if parsed is None:
            return URL.create("unreadable")
        return parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))

    @property
    def sqlite_file(self) -> Path | None:
        """The database's file; None where the URL names none."""
        path = self.sqlalchemy_url.database
        return Path(path) if path and path != ":memory:" else None

    @property
    def libpq_url(self) -> str:
        """The same PostgreSQL database as psycopg takes it, password included: never log it."""
        return self.sqlalchemy_url.set(drivername="postgresql").render_as_string(hide_password=False)


def _parsed(given: str) -> URL | None:
    try:
        return make_url(given)
    except ArgumentError:
        return None
