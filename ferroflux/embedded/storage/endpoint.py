"""How the commands find the system that runs over a data directory: a small file that it keeps while it serves."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ferroflux.embedded.storage.layout import DataDirectory
from runtime.files import atomic_write


class Endpoint(BaseModel):
    """Where a running `ferroflux up` is reached."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    pid: int = Field(description="Its process.")
    url: str = Field(description="Base URL of the API and the page.")
    kafka: str = Field(description="Bootstrap address of the Kafka protocol.")

    def publish(self, directory: DataDirectory) -> None:
        """Write the file, whole or not at all."""
        atomic_write(directory.endpoint, (self.model_dump_json(indent=2) + "\n").encode(), durable=False)

    @classmethod
    def find(cls, directory: DataDirectory) -> "Endpoint | None":
        """The running system of this directory; None where none runs (a file that a killed one left does not count)."""
        try:
            endpoint = cls.model_validate_json(directory.endpoint.read_bytes())
        except (OSError, ValidationError):
            return None
        return endpoint if _is_alive(endpoint.pid) else None

    @staticmethod
    def withdraw(directory: DataDirectory) -> None:
        """Remove the file."""
        directory.endpoint.unlink(missing_ok=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return Path("/proc", str(pid)).exists()
    return True
