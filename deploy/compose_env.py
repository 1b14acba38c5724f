"""`make env`: the passwords and keys that compose.yaml asks for, each made up here, in a file that only its owner may read.

What the file holds already stays as it is, so the command may be given again after an update that asks for more. It needs
Python alone: it runs before anything is installed.
"""

import os
import re
import secrets
import sys
import tempfile
from pathlib import Path

NAMES = (
    "WAREHOUSE_PASSWORD",
    "CONNECTOR_PASSWORD",
    "AGENT_DATABASE_PASSWORD",
    "KAFKA_BROKER_PASSWORD",
    "KAFKA_PASSWORD",
    "KAFKA_CONNECT_PASSWORD",
    "QDRANT_API_KEY",
    "SHOP_KEY",
    "ADMIN_KEY",
)
"""Every variable that compose.yaml refuses to start without; a test compares the two."""

_HEADER = (
    "# Passwords and keys of this installation, made by `make env`. Keep it: the databases were set up with them.\n"
)
_ASSIGNMENT = re.compile(r"^[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*(\S.*)?$", re.MULTILINE)


def missing_from(text: str) -> list[str]:
    """The names that a file does not give a value, in their order."""
    given = {name for name, value in _ASSIGNMENT.findall(text) if value}
    return [name for name in NAMES if name not in given]


def completed(text: str, made: dict[str, str]) -> str:
    """The file with what was made behind what is there."""
    kept = text if text.endswith("\n") or not text else f"{text}\n"
    return (kept or _HEADER) + "".join(f"{name}={value}\n" for name, value in made.items())


def write_env(path: Path) -> list[str]:
    """Complete the file, whole or not at all; returns the names that were added. Nobody else may read it afterwards."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    # Hexadecimal: it needs quoting nowhere, neither in a URL nor in JAAS nor in compose's own substitution.
    made = {name: secrets.token_hex(24) for name in missing_from(text)}
    if made:
        handle, draft = tempfile.mkstemp(prefix=".env.", dir=path.resolve().parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(completed(text, made))
        Path(draft).replace(path.resolve())
    path.chmod(0o600)
    return list(made)


def main(arguments: list[str]) -> int:
    """Complete the one file that is named."""
    if len(arguments) != 1:
        print("usage: python deploy/compose_env.py FILE", file=sys.stderr)  # noqa: T201 - a command prints
        return 2
    added = write_env(Path(arguments[0]))
    print(f"{arguments[0]}: {', '.join(added)} made" if added else f"{arguments[0]}: everything is there")  # noqa: T201 - as above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
