"""`ferroflux ingest`: a catalogue file as change events, with progress, resumable."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferroflux.cli.options import DataDirOption, KeyOption, SendToOption, UrlOption
from ferroflux.cli.output import FractionProgress, counted
from ferroflux.cli.use.looking import EXIT_OLDER, ForceOption, LookOption, SourceOption, gate_of
from ferroflux.data_directory import DataDirectory
from ferroflux.http_client import api_key, locate
from ferroflux.ingest.columns import ColumnMapping
from ferroflux.ingest.convert import Rejected, RowConverter
from ferroflux.ingest.held.gate import Gate
from ferroflux.ingest.resume import Checkpoint, RunState, run_name
from ferroflux.ingest.rows import Row, RowSource
from ferroflux.ingest.run import IngestReport, IngestRun
from ferroflux.ingest.targets import ChangeTarget, HttpTarget, KafkaTarget
from runtime.clock import SYSTEM_CLOCK
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import InvalidRequestError
from schemas.identity import tenant_id
from schemas.product.sources import DEFAULT_SOURCE, source_name
from schemas.topics import KafkaSettings

app = typer.Typer()

EXIT_REJECTED: Final = 1
EXIT_INTERRUPTED: Final = 130

_EXAMPLES: Final = """
Columns are recognised by their names, in Spanish and English (`sku`, `codigo`, `titulo`, `marca`, `precio`,
`existencia`, `imagen`, …); a column that is no field becomes an attribute of the product. A run that was interrupted
goes on where it stopped when the same command is given again, and gives every row the version that it had.

Before anything is sent it is looked what is there: a file that could not win, or whose versions would win over every later
change of the source that feeds the products (a log position is smaller than the time in microseconds), is refused with
what to do. Exit code 0: everything is there; 1: rows were bad or refused; 3: some are older than what is there, which stays.

**Examples**

    ferroflux ingest catalogue.csv --tenant my-shop

    ferroflux ingest export.parquet --tenant my-shop --map title=NOMBRE_ART --map price=PVP

    ferroflux ingest products.jsonl.gz --kafka broker:9092 --reject bad-rows.jsonl
"""


@app.command(epilog=None, help=f"Load a catalogue file (csv, tsv, jsonl, either with .gz, or parquet).\n{_EXAMPLES}")
def ingest(
    file: Annotated[Path, typer.Argument(help="The file; its ending says the format.", show_default=False)],
    *,
    tenant: Annotated[str, typer.Option(help="Tenant of rows that name none.", show_default=False)] = "",
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="`field=column`; `field=` leaves a field out. May be repeated.")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="YAML file of `field: column` lines.", show_default=False)
    ] = None,
    kafka: SendToOption = "",
    topic: Annotated[
        str,
        typer.Option(
            help="With --kafka: the topic. Default: the lane's own of `FERROFLUX_KAFKA__TOPICS`.", show_default=False
        ),
    ] = "",
    bulk: Annotated[
        bool,
        typer.Option("--bulk/--live", help="Let live changes go before it, or make it as urgent as they are."),
    ] = True,
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
    currency: Annotated[str, typer.Option(help="Currency of prices whose row names none.", show_default=False)] = "",
    decimal_comma: Annotated[
        bool, typer.Option("--decimal-comma", help="Read 1.234,50 as people in Spain write it.")
    ] = False,
    delimiter: Annotated[str, typer.Option(help="CSV delimiter; found by itself otherwise.", show_default=False)] = "",
    encoding: Annotated[str, typer.Option(help="Encoding of a CSV file, such as latin-1.")] = "utf-8",
    sequence: Annotated[
        int | None,
        typer.Option(min=0, help="Version of the first row; default: now, in microseconds.", show_default=False),
    ] = None,
    epoch: Annotated[int, typer.Option(min=0, help="Epoch of the versions: raise it after a source was restored.")] = 0,
    reject: Annotated[
        Path | None, typer.Option(help="Write bad rows to this file (JSON lines).", show_default=False)
    ] = None,
    restart: Annotated[bool, typer.Option("--restart", help="Forget an interrupted run of this file.")] = False,
    source: SourceOption = DEFAULT_SOURCE,
    look: LookOption = True,
    force: ForceOption = False,
) -> None:
    """Load a catalogue file."""
    configure_quiet_logging()
    console = Console(stderr=True)
    if tenant:
        tenant_id(tenant)
    columns = ColumnMapping.of(maps or (), mapping)
    source_name(source)
    rows = RowSource(file, delimiter=delimiter, encoding=encoding)
    target = _target(kafka, topic, url, data_dir, key, bulk=bulk)
    options: tuple[str, ...] = (
        tenant,
        currency,
        str(decimal_comma),
        str(sequence),
        str(epoch),
        repr(sorted(columns.chosen.items())),
    )
    if source != DEFAULT_SOURCE:  # runs that an older release began are gone on with
        options = (*options, source)
    checkpoint = Checkpoint.load(
        DataDirectory.resolve(data_dir).ingest,
        run_name(file, target.name, options),
        RunState(
            file=str(file.absolute()),
            target=target.name,
            first_sequence=SYSTEM_CLOCK.now_us() if sequence is None else sequence,
        ),
        restart=restart,
    )
    converter = RowConverter(
        columns,
        checkpoint.state.first_sequence,
        tenant=tenant,
        currency=currency,
        decimal_comma=decimal_comma,
        epoch=epoch,
        source=source,
    )
    gate = (
        gate_of(
            kafka,
            target.name,
            api_key(key),
            source=source,
            option="--sequence",
            by_clock=sequence is None,
            force=force,
        )
        if look
        else None
    )
    _announce(console, rows, converter, target, checkpoint)
    started = SYSTEM_CLOCK.monotonic()
    try:
        report = asyncio.run(_run(console, rows, converter, target, checkpoint, reject, gate))
    except KeyboardInterrupt:
        done = checkpoint.state.rows_done
        console.print(f"interrupted after row {done:,}: the same command goes on there", highlight=False)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _summarise(console, report, SYSTEM_CLOCK.monotonic() - started, target.name, reject)
    if report.rejected:
        raise typer.Exit(EXIT_REJECTED)
    if report.older:
        raise typer.Exit(EXIT_OLDER)


def _target(kafka: str, topic: str, url: str, data_dir: Path | None, key: str, *, bulk: bool) -> ChangeTarget:
    if kafka and url:
        raise InvalidRequestError("--kafka and --url name two targets: give one of them")
    if kafka:
        # The rest (TLS, SASL) comes from the same variables as the indexer's: FERROFLUX_KAFKA__SECURITY_PROTOCOL, …
        settings = kafka_settings().model_copy(update={"bootstrap": kafka})
        return KafkaTarget(settings, topic or (settings.topics.bulk if bulk else settings.topics.changes[0]))
    return HttpTarget(locate(url, data_dir), api_key=api_key(key), lane="bulk" if bulk else "live")


def live_target(bootstrap: str, topic: str = "") -> KafkaTarget:
    """A cluster's topic of live changes, as its settings name it, or the given one."""
    settings = kafka_settings().model_copy(update={"bootstrap": bootstrap})
    return KafkaTarget(settings, topic or settings.topics.changes[0])


def kafka_settings() -> KafkaSettings:
    """How to reach Kafka, from the environment."""
    from pydantic_settings import BaseSettings, SettingsConfigDict  # noqa: PLC0415 - only --kafka needs it

    class _KafkaEnvironment(BaseSettings):
        model_config = SettingsConfigDict(
            hide_input_in_errors=True, env_prefix="FERROFLUX_", env_nested_delimiter="__", extra="ignore"
        )
        kafka: KafkaSettings = KafkaSettings()

    return _KafkaEnvironment().kafka


async def _run(
    console: Console,
    source: RowSource,
    converter: RowConverter,
    target: ChangeTarget,
    checkpoint: Checkpoint,
    reject: Path | None,
    gate: Gate | None,
) -> IngestReport:
    rejects = reject.open("ab") if reject is not None else None

    def keep(row: Rejected) -> None:
        if rejects is not None:
            rejects.write(orjson.dumps({"line": row.line, "reason": row.reason, "row": row.raw}) + b"\n")
            rejects.flush()

    try:
        with FractionProgress(console, "ingesting") as bar:

            def show(report: IngestReport) -> None:
                bar.update(report.fraction, f"{report.skipped + report.rows:,} rows, {report.rejected:,} bad")

            async with AsyncExitStack() as opened:
                await opened.enter_async_context(target)
                if gate is not None:
                    await opened.enter_async_context(gate.held)
                return await IngestRun(source, converter, target, checkpoint, show, keep, gate=gate).run()
    finally:
        if rejects is not None:
            rejects.close()


def _announce(
    console: Console, source: RowSource, converter: RowConverter, target: ChangeTarget, checkpoint: Checkpoint
) -> None:
    first = next((row for row in source if isinstance(row, Row)), None)
    if first is None:
        raise InvalidRequestError(f"{source.path} holds no row that can be read")
    resolved = converter.columns(tuple(first.cells))
    renamed = [f"{name} ← {column}" if name != column else name for name, column in resolved.columns.items()]
    console.print(f"[bold]{escape(source.path.name)}[/] → {target.name}", highlight=False)
    console.print(f"  fields      {', '.join(renamed)}", highlight=False, markup=False)
    if resolved.extra:
        console.print(f"  attributes  {', '.join(resolved.extra)}", highlight=False, markup=False)
    if checkpoint.resumed:
        console.print(
            f"  going on after row {checkpoint.state.rows_done:,} of an interrupted run (--restart forgets it)"
        )


def _summarise(console: Console, report: IngestReport, seconds: float, target: str, reject: Path | None) -> None:
    rate = report.rows / seconds if seconds else 0.0
    parts = [f"{counted(report.changes, 'change')} to {target}", counted(report.rejected - report.refused, "bad row")]
    if report.equal:
        parts.append(f"{counted(report.equal, 'change')} already there")
    if report.older:
        parts.append(f"{counted(report.older, 'row')} older than what is there")
    if report.refused:
        parts.append(f"{counted(report.refused, 'row')} refused")
    if report.skipped:
        parts.append(f"{report.skipped:,} done before")
    console.print(
        f"{counted(report.rows, 'row')} in {seconds:.1f} s ({rate:,.0f}/s): {', '.join(parts)}", highlight=False
    )
    if report.older:
        console.print(f"  left as it is, for example {report.older_sample}", highlight=False, markup=False)
    table = Table(show_header=False, box=None, padding=(0, 2))
    for name, count in sorted(report.products_by_tenant.items()):
        table.add_row(f"  {name}", f"{count:,} products")
    if report.products_by_tenant:
        console.print(table)
    for rejected in report.rejections:
        console.print(f"  line {rejected.line}: {rejected.reason}", highlight=False, markup=False)
    if report.rejected > len(report.rejections):
        where = f"all of them in {reject}" if reject else "--reject FILE keeps them all"
        console.print(f"  … and {report.rejected - len(report.rejections):,} more; {where}", highlight=False)
