"""The Java servers' jars: fetched by Maven into var/jars (`make jars`), found here."""

import shutil
from pathlib import Path

from tests.support.data import ROOT
from tests.support.prerequisites import unavailable


def jars(name: str) -> Path:
    """Folder of the jars of `kafka` or `debezium`."""
    folder = ROOT / "var" / "jars" / name
    if not (folder / ".complete").exists():
        unavailable(
            f"the folder of {name}'s jars, var/jars/{name},",
            "run `make jars` (it needs Maven: `apt-get install maven`)",
        )
    return folder


def java() -> str:
    """Path of the Java runtime, 17 or newer."""
    found = shutil.which("java")
    if found is None:
        unavailable("a Java runtime", "install JDK 17 or newer (`apt-get install openjdk-17-jre-headless`)")
    return found
