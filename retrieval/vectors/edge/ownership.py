"""One process owns a data directory, and says so in a lock that dies with it.

Edge itself refuses a second owner, but with an error about its write-ahead log that helps nobody.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from schemas.errors import IndexInUseError

LOCK_FILE: Final = "owner.lock"


class DirectoryOwner:
    """Holds the lock of one directory from construction to `release`, at the latest until the process ends."""

    def __init__(self, directory: Path) -> None:
        """Create the directory where it is absent and take it.

        Raises:
            IndexInUseError: another owner holds it, in this or another process.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._file = (directory / LOCK_FILE).open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise IndexInUseError(
                f"the vector index in {directory} is in use by process {owner}; stop it first, or choose another directory"
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let the next owner in; the file stays, since removing it would race with one who has just opened it."""
        self._file.close()
