"""`ferroflux replica`: the text replica's tailer."""

from typing import Final

import typer

from query_api.replica.bootstrap import run_replica
from query_api.replica.settings import ReplicaSettings
from runtime.logs import configure_logging

app = typer.Typer()

_HELP: Final = """Run a text replica: documents from Kafka to a Tantivy index on local disk, which API workers beside it read.

It can be killed at any time: data and position are committed together. `/healthz`, `/readyz` and `/metrics` are served
on FERROFLUX_HTTP__PORT (8002).

**Example**

    FERROFLUX_KAFKA__BOOTSTRAP=kafka:9092 FERROFLUX_TEXT__DIRECTORY=/var/lib/ferroflux/text ferroflux replica
"""


@app.command(help=_HELP)
def replica() -> None:
    """Run a text replica."""
    configure_logging()
    run_replica(ReplicaSettings())
