"""What the doctor looks at: the machine, the models, the services that the environment names, and what only tests need."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Final
from urllib.parse import urlsplit

from ferroflux.data_directory import DataDirectory, Endpoint
from indexer.kafka.topics import TopicAdmin
from indexer.settings import IndexerSettings
from query_api.settings import ApiSettings
from retrieval.encoders.models.folders import read_cross_encoder, read_sparse_encoder
from retrieval.encoders.models.sources import available_models
from retrieval.vectors.factory import remote_client
from retrieval.vectors.settings import VectorStoreKind
from runtime.observability.redaction import redacted, without_credentials
from schemas.errors import FerrofluxError


class Health(Enum):
    """How something is."""

    GOOD = "ok"
    OPTIONAL = "optional"
    """Missing, and needed only for something that was not asked for."""
    BAD = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """`remedy` is empty where there is nothing to do."""

    subject: str
    health: Health
    detail: str
    remedy: str = ""


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


def models() -> list[Finding]:
    """The configured model, and the built-in ones."""
    configured = IndexerSettings().encoder.model
    findings = []
    for model in available_models():
        chosen = model.model == configured
        subject = f"model {model.model}"
        if model.available:
            detail = f"{model.package} {model.version}{', in use' if chosen else ''}: {model.description}"
            findings.append(Finding(subject, Health.GOOD, detail))
        else:
            health = Health.BAD if chosen else Health.OPTIONAL
            findings.append(Finding(subject, health, f"{model.package} is not installed", model.remedy))
    if configured not in {model.model for model in available_models()}:
        findings.append(
            Finding("model", Health.GOOD, f"{configured}: named by FERROFLUX_ENCODER__MODEL, read at the start")
        )
    return [*findings, _sparse(), _reranker()]


def _sparse() -> Finding:
    model = IndexerSettings().encoder.sparse.model
    subject = "sparse encoder"
    if not model:
        return Finding(subject, Health.OPTIONAL, "none named (FERROFLUX_ENCODER__SPARSE__MODEL): no sparse vectors")
    return _named_folder(subject, model, lambda: read_sparse_encoder(Path(model).expanduser()))


def _reranker() -> Finding:
    settings = ApiSettings().search.rerank
    subject = "reranker"
    if not settings.model:
        return Finding(
            subject, Health.OPTIONAL, "none named (FERROFLUX_SEARCH__RERANK__MODEL): hits keep the fusion's order"
        )
    return _named_folder(subject, settings.model, lambda: read_cross_encoder(Path(settings.model).expanduser()))


def _named_folder(subject: str, model: str, read: Callable[[], object]) -> Finding:
    """A model that is a folder is looked at now; a URL is only read when a process starts."""
    if "://" in model:
        # A URL may carry a password: its last part names the model well enough.
        return Finding(subject, Health.GOOD, f"{PurePosixPath(urlsplit(model).path).name}: fetched at the start")
    try:
        read()
    except FerrofluxError as error:
        return Finding(subject, Health.BAD, f"{model} cannot be used", str(error))
    return Finding(subject, Health.GOOD, f"{model}: read at the start")


_TIMEOUT_S: Final = 10.0


async def configured_services() -> list[Finding]:
    """Whether the servers that the environment names answer."""
    settings = IndexerSettings()
    findings: list[Finding] = []
    if "FERROFLUX_KAFKA__BOOTSTRAP" in os.environ:
        findings.append(await _kafka(settings))
    else:
        findings.append(Finding("Kafka", Health.OPTIONAL, "none named: `ferroflux up` brings its own", ""))
    if settings.vectors.kind is VectorStoreKind.QDRANT:
        findings.append(await _qdrant(settings))
    else:
        findings.append(
            Finding("Qdrant", Health.OPTIONAL, "none named: `ferroflux up` uses Qdrant Edge in process", "")
        )
    return findings


async def _kafka(settings: IndexerSettings) -> Finding:
    where = redacted(settings.kafka.bootstrap)
    try:
        async with asyncio.timeout(_TIMEOUT_S), TopicAdmin(settings.kafka) as admin:
            log_id = await admin.log_id()
    except (FerrofluxError, TimeoutError, OSError) as error:
        return Finding(
            "Kafka",
            Health.BAD,
            f"{where}: {redacted(str(error)) or 'no answer'}",
            "check FERROFLUX_KAFKA__BOOTSTRAP, and that it runs",
        )
    return Finding("Kafka", Health.GOOD, f"{where}: cluster {log_id}")


async def _qdrant(settings: IndexerSettings) -> Finding:
    where = without_credentials(settings.vectors.url)
    client = remote_client(settings.vectors)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            exists = await client.collection_exists(settings.vectors.collection)
    except Exception as error:  # noqa: BLE001 - gRPC, HTTP and TLS each have errors of their own; the doctor reports them all
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return Finding(
            "Qdrant", Health.BAD, f"{where}: {redacted(reason)}", "check FERROFLUX_VECTORS__URL, and that it runs"
        )
    finally:
        await client.close()
    state = "is there" if exists else "is not there yet, the indexer makes it"
    return Finding("Qdrant", Health.GOOD, f"{where}: collection {settings.vectors.collection!r} {state}")


@dataclass(frozen=True, slots=True)
class Tool:
    """A program, what it is for, and how to get it. `folders` are looked into beside PATH."""

    name: str
    program: str
    purpose: str
    remedy: str
    folders: tuple[str, ...] = ()


TOOLS: Final = (
    Tool("Java", "java", "the integration tests' Apache Kafka", "apt install openjdk-17-jre-headless, or a JDK of 17 or newer"),
    Tool("Maven", "mvn", "fetching Kafka's and Debezium's jars (`make test`)", "apt install maven"),
    Tool(
        "PostgreSQL",
        "pg_ctl",
        "the end-to-end tests with Debezium",
        "apt install postgresql",
        ("/usr/lib/postgresql/*/bin", "/usr/local/pgsql/bin", "/opt/homebrew/opt/postgresql*/bin"),
    ),
)  # fmt: skip


def tools() -> list[Finding]:
    """Each tool, found or optional."""
    return [*map(_tool, TOOLS), _torch()]


def _tool(tool: Tool) -> Finding:
    path = shutil.which(tool.program) or _in_folders(tool)
    if path:
        return Finding(tool.name, Health.GOOD, path)
    return Finding(tool.name, Health.OPTIONAL, f"not found; needed for {tool.purpose}", tool.remedy)


def _in_folders(tool: Tool) -> str:
    for pattern in tool.folders:
        for folder in sorted(Path("/").glob(pattern.lstrip("/")), reverse=True):
            if (program := folder / tool.program).exists():
                return str(program)
    return ""


def _torch() -> Finding:
    if importlib.util.find_spec("torch"):
        return Finding("torch", Health.GOOD, "installed; used for training only")
    return Finding(
        "torch", Health.OPTIONAL, "not installed; needed for training only", "pip install 'ferroflux[training]'"
    )
