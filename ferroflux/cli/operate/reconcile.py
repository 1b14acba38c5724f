"""`ferroflux reconcile`: what the stores hold beside what is true, and publishing what mends them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Final

import typer

from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.reconcile import embedded_stores
from ferroflux.ingest.columns import ColumnMapping
from ferroflux.operations.reconcile import CatalogueRows, OpenStores, production_stores
from indexer.generations.settings import generation_of, settings_for
from indexer.reconcile.log_sources import ChangeLogRows, DocumentRows
from indexer.reconcile.ports import SourceOfTruth
from indexer.reconcile.report import ReconcileReport
from indexer.reconcile.run import ReconcileOptions, Reconciliation
from indexer.reconcile.warehouse import PostgresRows
from indexer.settings import IndexerSettings
from query_api.replica.settings import ReplicaSettings
from retrieval.generations.fitting import text_folder
from runtime.clock import SystemClock
from runtime.observability.logs import configure_quiet_logging
from schemas.events.admission import AdmissionRules
from schemas.events.parser import EventParser
from schemas.identity import tenant_id
from schemas.mapping.loading import load_mapping
from schemas.product.sources import SourceHistory

app = typer.Typer()

EXIT_DIFFERENT: Final = 1
DOCUMENTS: Final = "documents"

_HELP: Final = """Compare the vector store and the text replica with the truth, and say what is missing, extra or different.

The truth is a catalogue file (as `ferroflux ingest` reads it), a PostgreSQL warehouse (through the mapping file of
FERROFLUX_MAPPING), the change log, the documents topic, or `stores`, which compares the two stores with each other only.
What differs is looked at again after a pause, so a change that is on its way does not count.

`--repair` publishes corrective events through the change topic, each with the smallest version that wins over what is
stored, and documents that a replica lacks. What the truth does not have is deleted only with `--delete-extra`.

A vector store that was lost or replaced is restored with `--source documents --repair`: each product gets the lowest
version, so that whatever the source sends wins, and the new store is taken for the one that the indexers' offsets speak of.

The last line is one JSON object. Exit code 0: everything agrees, or was mended; 1: something differs.

**Examples**

    ferroflux reconcile --source log

    ferroflux reconcile --source postgres://reader@warehouse/erp --repair

    ferroflux reconcile --source documents --repair --no-replica

    ferroflux reconcile --source catalogue.csv --tenant my-shop --data-dir .ferroflux
"""


@app.command(help=_HELP)
def reconcile(
    *,
    source: Annotated[
        str,
        typer.Option(help="FILE, postgres://…, `log`, `documents`, or `stores`.", metavar="SOURCE", show_default=False),
    ],
    repair: Annotated[bool, typer.Option("--repair", help="Publish what mends the differences.")] = False,
    delete_extra: Annotated[
        bool, typer.Option("--delete-extra", help="With --repair: delete what the truth does not have.")
    ] = False,
    max_deletes: Annotated[int, typer.Option(min=0, help="Refuse a repair that would delete more rows.")] = 100,
    tenant: Annotated[
        str,
        typer.Option(help="Only this tenant; of a file, also the tenant of rows that name none.", show_default=False),
    ] = "",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            "--data-dir",
            help="Folder of a stopped `ferroflux up`; else production, by the environment.",
            show_default=False,
        ),
    ] = None,
    replica: Annotated[
        bool, typer.Option("--replica/--no-replica", help="Whether to compare the text replica on this machine.")
    ] = True,
    server: Annotated[
        str,
        typer.Option(
            help="Of a warehouse: its name in the mapping (the connector's topic.prefix).", show_default=False
        ),
    ] = "",
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="Of a file: `field=column`, as for ingest. May be repeated.")
    ] = None,
    currency: Annotated[
        str, typer.Option(help="Of a file: currency of prices that name none.", show_default=False)
    ] = "",
    decimal_comma: Annotated[bool, typer.Option("--decimal-comma", help="Of a file: read 1.234,50.")] = False,
    generation: Annotated[
        str,
        typer.Option(
            "--generation", help="In production: compare this generation; default: the live one.", show_default=False
        ),
    ] = "",
    settle_s: Annotated[float, typer.Option(min=0, help="Seconds before the second look.")] = 5.0,
    samples: Annotated[int, typer.Option(min=0, help="Differences of each kind that are shown.")] = 10,
) -> None:
    """Compare the stores with the truth."""
    configure_quiet_logging()
    settings = IndexerSettings()
    options = ReconcileOptions(
        tenant=tenant_id(tenant) if tenant else None,
        settle_s=0.0 if data_dir is not None else settle_s,
        samples=samples,
        delete_extra=delete_extra,
        max_deletes=max_deletes,
    )
    choice = _Choice(source, settings, tenant, server, ColumnMapping.of(maps or ()), currency, decimal_comma)
    report = asyncio.run(
        _run(choice, options, _opening(settings, data_dir, generation, replica=replica), repair=repair)
    )
    for kept in report.samples.values():
        for sample in kept:
            print(json.dumps(sample, ensure_ascii=False))
    print(json.dumps(report.summary()))
    if report.unmended if repair else not report.agree:
        raise typer.Exit(EXIT_DIFFERENT)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which truth, and how it is read."""

    source: str
    settings: IndexerSettings
    tenant: str
    server: str
    columns: ColumnMapping
    currency: str
    decimal_comma: bool

    async def truth(self, stores: OpenStores) -> SourceOfTruth | None:
        if self.source == "stores":
            return None
        mapping = load_mapping(self.settings.mapping, self.settings.default_tenant)
        if self.source == DOCUMENTS:
            return DocumentRows(stores.documents, mapping.policy)
        if self.source == "log":
            history = SourceHistory(await stores.sources.entries())
            rules = AdmissionRules(self.settings.max_ahead_s, lambda: history)
            return ChangeLogRows(stores.history, EventParser(mapping, self.settings.default_tenant, admission=rules))
        if self.source.startswith(("postgres://", "postgresql://")):
            return PostgresRows(self.source, mapping, server=self.server)
        return CatalogueRows(
            Path(self.source),
            self.columns,
            tenant=self.tenant,
            currency=self.currency,
            decimal_comma=self.decimal_comma,
        )


def _opening(
    settings: IndexerSettings, data_dir: Path | None, generation: str, *, replica: bool
) -> Callable[[], AbstractAsyncContextManager[OpenStores]]:
    if data_dir is not None:
        return lambda: embedded_stores(DataDirectory.resolve(data_dir), settings, with_replica=replica)
    return lambda: _production(settings, generation, replica=replica)


@asynccontextmanager
async def _production(settings: IndexerSettings, generation: str, *, replica: bool) -> AsyncIterator[OpenStores]:
    """The stores of one generation, with its replica on this machine."""
    manifest = await generation_of(settings, generation)
    text = ReplicaSettings().text
    text = text.model_copy(update={"directory": text_folder(text.directory, manifest)})
    async with production_stores(settings_for(settings, manifest), text, with_replica=replica) as stores:
        yield stores


async def _run(
    choice: _Choice,
    options: ReconcileOptions,
    opening: Callable[[], AbstractAsyncContextManager[OpenStores]],
    *,
    repair: bool,
) -> ReconcileReport:
    async with opening() as stores:
        if choice.source == DOCUMENTS:
            # A store without a collection has nothing to be compared, or to be restored into.
            await stores.vectors.identify()
            if await stores.replaced():
                options = replace(options, lift_below=SystemClock().now_us())
        run = Reconciliation(
            await choice.truth(stores), stores.vectors, stores.reader, options=options, clock=SystemClock()
        )
        report = await run.compare()
        if repair and not report.agree:
            await run.repair(stores.changes, stores.republisher)
        if repair and choice.source == DOCUMENTS and options.tenant is None:
            await stores.adopt()
        return report
