"""`ferroflux aliases`: the vocabulary of a tenant, listed, imported, proposed and approved."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from ferroflux.cli.options import DataDirOption, JsonOption, Server, with_options
from ferroflux.cli.output import counted, page_console
from ferroflux.cli.use.ingest import kafka_settings
from ferroflux.data_directory import DataDirectory, Endpoint
from ferroflux.operations.aliases import KafkaAliasPublisher, approved, imported, proposed
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import ConfigurationError, NotFoundError
from schemas.records.aliases import SHARED, AliasKind, AliasRecord, AliasStatus

app = typer.Typer(no_args_is_help=True, help="List, import, propose and approve aliases: the vocabulary of a tenant.")

TenantOption = Annotated[str, typer.Option(help="The tenant; `*` for an entry of all tenants.", show_default=False)]
KafkaOption = Annotated[
    str, typer.Option(help="Send to the Kafka cluster at HOST:PORT instead of a running `up`.", show_default=False)
]


@app.command("list")
@with_options
def list_entries(
    *,
    tenant: TenantOption,
    status: Annotated[AliasStatus | None, typer.Option(help="Only these.", show_default=False)] = None,
    own: Annotated[bool, typer.Option("--own", help="Without the shared entries.")] = False,
    json: JsonOption = False,
    server: Server,
) -> None:
    """Show the entries that a tenant's searches use now."""
    configure_quiet_logging()
    records = [one for one in _held(server, tenant) if status in (None, one.status)]
    shown = [one for one in records if not own or one.tenant != SHARED]
    if json:
        print("[" + ",\n ".join(record.model_dump_json() for record in shown) + "]")
        return
    table = Table("tenant", "id", "kind", "status", "terms", "targets", box=None)
    for one in shown:
        table.add_row(one.tenant, one.id, one.kind, one.status, ", ".join(one.terms), ", ".join(one.targets))
    page_console(markup=False).print(table)


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="YAML in the shipped table's format.")],
    *,
    tenant: TenantOption,
    kafka: KafkaOption = "",
    data_dir: DataDirOption = None,
) -> None:
    """Send all entries of a file as approved entries of a tenant; entries that are there get a newer version."""
    configure_quiet_logging()
    records = imported(yaml.safe_load(file.read_text(encoding="utf-8")), tenant)
    _send(records, kafka, data_dir)
    print(f"{counted(len(records), 'entry', 'entries')} sent for {tenant}")


@app.command()
def propose(
    *,
    tenant: TenantOption,
    name: Annotated[str, typer.Option("--id", help="Name of the entry.", show_default=False)],
    kind: Annotated[AliasKind, typer.Option(help="What it says of its terms.")] = AliasKind.ALIAS,
    terms: Annotated[list[str], typer.Option("--term", help="May be repeated.", show_default=False)],
    targets: Annotated[list[str] | None, typer.Option("--target", help="May be repeated.")] = None,
    evidence: Annotated[str, typer.Option(help="Why, for the person who decides.")] = "",
    kafka: KafkaOption = "",
    data_dir: DataDirOption = None,
) -> None:
    """Propose one entry; it changes no search until it is approved."""
    configure_quiet_logging()
    record = AliasRecord(
        tenant=tenant,
        id=name,
        kind=kind,
        terms=tuple(terms),
        targets=tuple(targets or ()),
        evidence=evidence,
    )
    _send([proposed(record)], kafka, data_dir)
    print(f"{record.key} proposed")


@app.command()
@with_options
def approve(
    names: Annotated[list[str], typer.Argument(help="Ids of proposed entries.")],
    *,
    tenant: TenantOption,
    reject: Annotated[bool, typer.Option("--reject", help="Switch them off instead.")] = False,
    kafka: KafkaOption = "",
    server: Server,
) -> None:
    """Approve entries, so that searches use them within a second; with --reject, switch them off."""
    configure_quiet_logging()
    held = {record.id: record for record in _held(server, tenant)}
    missing = [name for name in names if name not in held]
    if missing:
        raise NotFoundError(f"{tenant} has no entry {', '.join(missing)}; `ferroflux aliases list` shows them")
    status = AliasStatus.REJECTED if reject else AliasStatus.APPROVED
    _send([approved(held[name], tenant, status) for name in names], kafka, server.data_dir)
    print(f"{counted(len(names), 'entry', 'entries')} {status}")


def _held(server: Server, tenant: str) -> list[AliasRecord]:
    with server.client() as client:
        found: list[dict[str, Any]] = client.get("/v1/aliases", tenant=tenant)
    return [AliasRecord.model_validate(entry) for entry in found]


def _send(records: Sequence[AliasRecord], kafka: str, data_dir: Path | None) -> None:
    settings = kafka_settings()
    bootstrap = kafka
    if not bootstrap:
        endpoint = Endpoint.find(DataDirectory.resolve(data_dir))
        if endpoint is None:
            msg = (
                "no ferroflux runs over this data directory: start one with `ferroflux up`, or name Kafka with --kafka"
            )
            raise ConfigurationError(msg)
        bootstrap = endpoint.kafka

    publisher = KafkaAliasPublisher(settings.model_copy(update={"bootstrap": bootstrap}))
    asyncio.run(publisher.publish(list(records)))
