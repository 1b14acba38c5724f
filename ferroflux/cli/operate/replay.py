"""`ferroflux replay`: a stretch of the change log, taken in again."""

import asyncio
import random
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console

from ferroflux.cli.operate.settings import GenerationOption, KafkaOption, indexer_settings
from ferroflux.cli.operate.times import moment_us, shown
from ferroflux.cli.options import DataDirOption, JsonOption, KeyOption, UrlOption
from ferroflux.cli.progress import FractionProgress
from ferroflux.embedded.storage.layout import DataDirectory
from ferroflux.operations.http_client import ApiClient, api_key, locate
from indexer.generations.resolve import settings_of
from indexer.kafka.reader import KafkaReader
from indexer.offline import offline_indexer
from indexer.replay.checkpoint import ReplayCheckpoint, digest_of
from indexer.replay.replayer import Replayed, Replayer
from indexer.replay.selection import Selection
from indexer.replay.sources import KafkaReplaySource
from indexer.settings import IndexerSettings
from runtime.logs import configure_quiet_logging

app = typer.Typer()

_HELP: Final = """Take a stretch of the change log in again, through the same guard as live changes.

It cannot go backwards: an event that is older than what is stored is counted as stale and changes nothing. It reads with
a consumer of its own and touches no group's offsets. Without `--yes` it only counts, and compares with what is stored.
An interrupted replay goes on where it stopped when the same command is given again.

**Examples**

    ferroflux replay --since 2h

    ferroflux replay --tenant my-shop --facet price --since 2026-11-20 --until 2026-11-21 --yes

    ferroflux replay --kafka kafka:9092 --offsets 3:1042-2000 --rate 500 --yes
"""


@app.command(help=_HELP)
def replay(
    *,
    since: Annotated[str, typer.Option(help="Logged since: 2h (ago), or 2026-11-20T10:00.", show_default=False)] = "",
    until: Annotated[str, typer.Option(help="Logged before.", show_default=False)] = "",
    offsets: Annotated[
        list[str] | None, typer.Option(help="[topic/]partition:first[-last]. May be repeated; with --kafka.")
    ] = None,
    partition: Annotated[list[int] | None, typer.Option(help="Only this partition. May be repeated.")] = None,
    tenant: Annotated[str, typer.Option(help="Only this shop.", show_default=False)] = "",
    sku: Annotated[list[str] | None, typer.Option(help="Only this product. May be repeated.")] = None,
    facet: Annotated[list[str] | None, typer.Option(help="Only this facet: item, price, stock:branch-2.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only count.")] = False,
    rate: Annotated[float | None, typer.Option(min=0.1, help="Most records a second.", show_default=False)] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an interrupted run of the same command.")] = False,
    kafka: KafkaOption = "",
    generation: GenerationOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take a stretch of the change log in again."""
    configure_quiet_logging()
    raw: dict[str, Any] = {
        "since_ms": moment_us(since) // 1000 if since else 0,
        "until_ms": moment_us(until) // 1000 if until else 0,
        "offsets": offsets or [],
        "partitions": partition or [],
        "tenant": tenant,
        "skus": sku or [],
        "facets": facet or [],
    }
    selection = Selection.of(raw)
    settings = asyncio.run(settings_of(indexer_settings(kafka), generation)) if kafka else None
    # A generation has a position of its own: what was replayed into one is to be replayed into another.
    where = {} if settings is None else {"collection": settings.vectors.collection}
    asked = digest_of({**raw, **where, "since_ms": since, "until_ms": until})
    checkpoint = ReplayCheckpoint.of(DataDirectory.resolve(data_dir).replays, selection, asked)
    if restart:
        checkpoint.clear()
    with FractionProgress(Console(stderr=True), "replaying" if yes else "counting") as bar:
        counts = (
            asyncio.run(_on_kafka(settings, selection, checkpoint, bar, apply=yes, rate=rate))
            if settings is not None
            else _on_running(locate(url, data_dir), api_key(key), {**raw, "asked": asked}, bar, apply=yes, rate=rate)
        )
    if as_json:
        print(orjson.dumps(counts, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(counts, applied=yes)


async def _on_kafka(
    settings: IndexerSettings,
    selection: Selection,
    checkpoint: ReplayCheckpoint,
    bar: FractionProgress,
    *,
    apply: bool,
    rate: float | None,
) -> dict[str, Any]:
    async with offline_indexer(settings) as indexer, KafkaReader(settings.kafka) as reader:
        replayer = Replayer(
            KafkaReplaySource(reader, settings.kafka.topics.consumed),
            indexer.pipeline,
            indexer.index,
            indexer.parser,
            clock=indexer.clock,
            rng=random.Random(),  # noqa: S311 - jitter, no secret
        )
        counts = await replayer.run(
            selection,
            apply=apply,
            checkpoint=checkpoint,
            records_per_s=rate,
            on_progress=lambda so_far: _update(bar, so_far),
        )
    return counts.to_json()


def _on_running(
    url: str, key: str, raw: dict[str, Any], bar: FractionProgress, *, apply: bool, rate: float | None
) -> dict[str, Any]:
    body = {**raw, "apply": apply, "records_per_s": rate}
    last: dict[str, Any] = {}
    with ApiClient(url, key=key, timeout_s=None) as client:
        for line in client.post_lines("/v1/replays", body):
            last = line
            bar.update(line.get("fraction", 0.0), f"{line.get('read', 0):,} records")
    return last


def _update(bar: FractionProgress, counts: Replayed) -> None:
    bar.update(counts.fraction, f"{counts.read:,} records")


def _tell(counts: dict[str, Any], *, applied: bool) -> None:
    if counts.get("interrupted_us"):
        stopped = shown(counts["interrupted_us"])
        print(
            f"went on where the same command stopped at {stopped} UTC, with what it meant then; --restart begins anew"
        )
    print(f"{counts['read']:,} records read, {counts['selected']:,} selected, {counts['poison']:,} of them poison")
    print(f"{counts['events']:,} events of {counts['products']:,} products")
    for what in ("by_tenant", "by_facet"):
        for name, count in sorted(counts[what].items(), key=lambda pair: -pair[1])[:20]:
            print(f"  {name:<30} {count:>10,}")
    verb = "" if applied else "would be "
    print(
        f"{counts['applied']:,} {verb}applied, {counts['duplicates']:,} {verb}found merged already, "
        f"{counts['stale']:,} {verb}dropped as older than what is stored"
    )
    if not applied:
        print("nothing was changed; add --yes to do it")
