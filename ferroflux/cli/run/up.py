"""`ferroflux up`: everything in one process."""

from pathlib import Path
from typing import Annotated, Final

import typer

from ferroflux.cli.run.launch import run_embedded
from ferroflux.embedded.settings import EmbeddedOptions
from ferroflux.embedded.storage.layout import DataDirectory
from runtime import event_loop

app = typer.Typer()

_HELP: Final = """Run everything in one process: a broker that speaks the Kafka protocol, indexer, text replica, search API and page.

Nothing else is needed: no Docker, no JVM, no key. All data lies in one folder and survives a restart, a crash and
`kill -9`. A first run loads a sample catalogue. Ctrl-C stops it in order.

**Examples**

    ferroflux up

    ferroflux up --data-dir /srv/ferroflux --port 9000 --no-sample

    ferroflux up --kafka-port 9092
"""


@app.command(help=_HELP)
def up(
    *,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            envvar="FERROFLUX_DATA_DIR", help="Folder of all data. Default: `.ferroflux` here.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(envvar="FERROFLUX_HTTP__HOST", help="Address that the API and the page listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(envvar="FERROFLUX_HTTP__PORT", min=0, max=65535, help="Their port; 0: any free one.")
    ] = 8000,
    kafka_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the Kafka protocol on 127.0.0.1; 0: any free one.")
    ] = 0,
    sample: Annotated[
        bool, typer.Option("--sample/--no-sample", help="Load the sample catalogue into a new folder.")
    ] = True,
    insecure_open: Annotated[
        bool,
        typer.Option(
            "--insecure-open",
            help="Listen on any address without keys: whoever reaches the port may change everything.",
        ),
    ] = False,
) -> None:
    """Run everything in one process."""
    options = EmbeddedOptions(
        DataDirectory.resolve(data_dir), host, port, kafka_port, sample=sample, insecure_open=insecure_open
    )
    event_loop.run(run_embedded(options))
