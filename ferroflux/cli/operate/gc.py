"""`ferroflux gc`: tombstones that no replay can reach any more."""

import asyncio
import time
from typing import Annotated, Any, Final

import orjson
import typer

from ferroflux.cli.operate.settings import GenerationOption, KafkaOption, indexer_settings
from ferroflux.cli.operate.times import duration_s, shown
from ferroflux.cli.options import DataDirOption, JsonOption, KeyOption, UrlOption
from ferroflux.cli.wording import counted
from ferroflux.operations.http_client import ApiClient, api_key, locate
from indexer.collection.collector import TombstoneCollector
from indexer.collection.tombstones import KafkaTombstones
from indexer.generations.resolve import settings_of
from indexer.kafka.reader import KafkaReader
from indexer.offline import offline_indexer
from runtime.logs import configure_quiet_logging
from schemas.identity import TenantId, tenant_id

app = typer.Typer()

_HELP: Final = """Remove the tombstones of deleted products from the vector store, the documents topic and the replicas.

A tombstone keeps a late, older row from bringing a deleted product back. It is removed only where its product was last
heard of before the change log begins (so no replay can bring an older row) and longer than `--older-than` ago. Without
`--yes` it only counts. A product that comes back at the same moment is never removed. Each generation has tombstones of
its own.

**Examples**

    ferroflux gc

    ferroflux gc --kafka kafka:9092 --older-than 30d --yes
"""


@app.command(help=_HELP)
def gc(
    *,
    older_than: Annotated[
        str, typer.Option(help="Last heard of at least so long ago; longer than a replica may be away.")
    ] = "15d",
    tenant: Annotated[str, typer.Option(help="Only this shop.", show_default=False)] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only count.")] = False,
    prune_journal: Annotated[
        bool,
        typer.Option(
            "--prune-journal",
            help="Without --kafka: forget journalled changes of that age first. A rebuild no longer sees them.",
        ),
    ] = False,
    kafka: KafkaOption = "",
    generation: GenerationOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove tombstones that no replay can reach."""
    configure_quiet_logging()
    age_s = duration_s(older_than)
    if kafka:
        counts = asyncio.run(_on_kafka(kafka, generation, age_s, tenant_id(tenant) if tenant else None, apply=yes))
    else:
        body = {"older_than_s": age_s, "tenant": tenant, "apply": yes, "prune_journal": prune_journal}
        with ApiClient(locate(url, data_dir), key=api_key(key), timeout_s=None) as client:
            counts = client.post("/v1/collections", body)
    if as_json:
        print(orjson.dumps(counts, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(counts, applied=yes)


async def _on_kafka(
    kafka: str, generation: str, age_s: float, tenant: TenantId | None, *, apply: bool
) -> dict[str, Any]:
    settings = await settings_of(indexer_settings(kafka), generation)
    before_us = time.time_ns() // 1000 - int(age_s * 1e6)
    async with offline_indexer(settings) as indexer, KafkaReader(settings.kafka) as reader:
        oldest_ms = await reader.oldest_ms(await reader.partitions(settings.kafka.topics.consumed))
        if oldest_ms is not None:
            before_us = min(before_us, oldest_ms * 1000)
        collector = TombstoneCollector(
            indexer.index,
            KafkaTombstones(reader, settings.kafka.topics.documents),
            indexer.documents,
            indexer.pipeline.republish,
        )
        found = await collector.collect(before_us=before_us, apply=apply, tenant=tenant)
    return {**{name: getattr(found, name) for name in found.__dataclass_fields__}, "before_us": before_us}


def _tell(counts: dict[str, Any], *, applied: bool) -> None:
    print(f"{counted(counts['tombstones'], 'tombstone')}; the bound is {shown(counts['before_us'])} UTC")
    print(f"{counts['within_reach']:,} kept: heard of since, so a replay or a late row could still concern them")
    print(f"{counts['changed']:,} kept: changed since their document was written")
    if applied:
        print(f"{counts['removed']:,} removed, {counts['revived']:,} came back meanwhile and were published again")
    else:
        print(f"{counts['due']:,} would be removed; add --yes to do it")
