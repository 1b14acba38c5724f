"""Where PostgreSQL's server binaries are: Debian keeps them out of the path, one folder a major version."""

import shutil
from pathlib import Path

from tests.support.prerequisites import unavailable

_DEBIAN = Path("/usr/lib/postgresql")


def binaries() -> Path:
    """Folder of `initdb` and `postgres`, of the newest version installed."""
    versions = sorted(_DEBIAN.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    if found is None:
        unavailable("a PostgreSQL server", "install it (`apt-get install postgresql`)")
    return Path(found).parent
