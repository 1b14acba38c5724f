"""Findings about what is configured in the environment: Kafka and Qdrant, where they are named."""

from __future__ import annotations

import asyncio
import os
from typing import Final

from ferroflux.cli.doctor.finding import Finding, Health
from indexer.kafka.topics import TopicAdmin
from indexer.settings import IndexerSettings
from retrieval.vectors.factory import remote_client
from retrieval.vectors.settings import VectorStoreKind
from runtime.redaction import redacted, without_credentials
from schemas.errors import FerrofluxError

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
