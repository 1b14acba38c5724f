"""Findings about the machine: Python, disk, ports, the data directory."""

from __future__ import annotations

import platform
import shutil
import socket
from pathlib import Path
from typing import Final

from ferroflux.cli.doctor.finding import Finding, Health
from ferroflux.embedded.storage.endpoint import Endpoint
from ferroflux.embedded.storage.layout import DataDirectory

_NEEDED_BYTES: Final = 1_000_000_000
"""Models (about 250 MB with their preparation), and room for a catalogue of a hundred thousand products."""


def python() -> Finding:
    """Which Python this is; a version that is too old does not get here (the package refuses to install)."""
    detail = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    if platform.system() == "Windows":
        return Finding("Python", Health.BAD, detail, "use WSL: the data directory's lock is POSIX")
    return Finding("Python", Health.GOOD, detail)


def disk(directory: DataDirectory) -> Finding:
    """Whether there is room for data and models."""
    existing = next(path for path in (directory.root, *directory.root.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    detail = f"{free / 1e9:.1f} GB free at {existing}"
    if free < _NEEDED_BYTES:
        return Finding("disk", Health.BAD, detail, "free a gigabyte, or choose another --data-dir")
    return Finding("disk", Health.GOOD, detail)


def data_directory(directory: DataDirectory) -> Finding:
    """How the embedded system's folder is."""
    subject = "data directory"
    running = Endpoint.find(directory)
    if running is not None:
        return Finding(subject, Health.GOOD, f"{directory.root}: in use by process {running.pid} at {running.url}")
    if not directory.root.exists():
        return Finding(subject, Health.GOOD, f"{directory.root}: not there yet, `ferroflux up` makes it")
    if not _is_writable(directory.root):
        return Finding(subject, Health.BAD, f"{directory.root}: not writable", "choose another --data-dir")
    if directory.running.exists():
        detail = f"{directory.root}: the last stop was not clean"
        return Finding(subject, Health.GOOD, detail, "nothing to do: the next `ferroflux up` mends it")
    return Finding(subject, Health.GOOD, f"{directory.root}: stopped cleanly")


def port(host: str, number: int, directory: DataDirectory) -> Finding:
    """Whether `ferroflux up` could listen."""
    subject = f"port {number}"
    running = Endpoint.find(directory)
    if running is not None and running.url.endswith(f":{number}"):
        return Finding(subject, Health.GOOD, "served by the running ferroflux")
    try:
        socket.create_server((host, number)).close()
    except OSError as error:
        return Finding(
            subject, Health.BAD, f"{host}:{number}: {error.strerror}", "start with --port 0, or another port"
        )
    return Finding(subject, Health.GOOD, f"{host}:{number} is free")


def _is_writable(folder: Path) -> bool:
    probe = folder / ".doctor"
    try:
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True
