"""One PostgreSQL server with `wal_level=logical` in a folder of its own, run by an unprivileged user."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.support.postgres.installation import binaries
from tests.support.prerequisites import unavailable
from tests.support.processes import ManagedProcess, free_port

_USER = "postgres"

_SETTINGS = {
    "wal_level": "logical",
    "listen_addresses": "127.0.0.1",
    "max_replication_slots": "8",
    "max_wal_senders": "8",
    "shared_buffers": "32MB",
    # The data is thrown away with the test: durability against a power cut would only cost time.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
}


class PostgresServer:
    """A server on a free port with the superuser `postgres`, who needs no password."""

    def __init__(self) -> None:
        self.port = free_port()
        # Not below pytest's own folder: that is closed to other users, and PostgreSQL refuses to run as root.
        self.folder = Path(tempfile.mkdtemp(prefix="ferroflux-postgres-"))
        data = self.folder / "data"
        bin_dir = binaries()
        self._initdb = [
            *_as_unprivileged(),
            str(bin_dir / "initdb"),
            *("--pgdata", str(data), "--username", _USER, "--auth", "trust", "--encoding", "UTF8", "--no-sync"),
            *("--locale", "C.UTF-8"),
        ]
        settings = {**_SETTINGS, "port": str(self.port), "unix_socket_directories": str(self.folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self.process = ManagedProcess(
            "postgres",
            [*_as_unprivileged(), str(bin_dir / "postgres"), "-D", str(data), *options],
            log_dir=self.folder / "logs",
        )

    def dsn(self, database: str = "postgres") -> str:
        """Where asyncpg and psql connect."""
        return f"postgresql://{_USER}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Create the cluster and wait until it takes connections."""
        if os.geteuid() == 0:
            shutil.chown(self.folder, _USER)
        done = subprocess.run(self._initdb, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 0, f"initdb failed:\n{done.stdout}\n{done.stderr}"
        self.process.start()
        self.process.wait_for_line("database system is ready to accept connections", timeout=30)

    def stop(self) -> None:
        """Fast shutdown, and the data is gone."""
        self.process.stop(sign=signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)


def _as_unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        unavailable(f"the user {_USER} (PostgreSQL refuses to run as root)", f"`useradd --system {_USER}`")
    return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups"]
