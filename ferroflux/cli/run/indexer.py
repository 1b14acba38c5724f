"""`ferroflux indexer`: one member of the group of indexers."""

from typing import Final

import typer

from indexer.process.bootstrap import main
from indexer.settings import IndexerSettings
from runtime.logs import configure_logging

app = typer.Typer()

_HELP: Final = """Run an indexer: change events from Kafka to Qdrant and to the documents topic.

Several share the work as one consumer group. SIGTERM lets it finish its batch. `/healthz`, `/readyz` and `/metrics` are
served on FERROFLUX_HTTP__PORT (8001). Everything is set by the environment; the variables are in
docs/reference/settings.md.

**Example**

    FERROFLUX_KAFKA__BOOTSTRAP=kafka:9092 FERROFLUX_VECTORS__KIND=qdrant FERROFLUX_VECTORS__URL=http://qdrant:6333 ferroflux indexer
"""


@app.command(help=_HELP)
def indexer() -> None:
    """Run an indexer."""
    configure_logging()
    main(IndexerSettings())
