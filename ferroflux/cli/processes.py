"""`ferroflux indexer`, `replica`, `api` and `agent`: the processes of a production installation, each set by its environment.

Each command imports its own process: an indexer holds neither the agent's graph nor the query API in memory.
"""

from typing import Annotated, Final, TypeVar

import typer

from ferroflux.cli.options import InsecureOpenOption
from runtime.observability.logs import configure_logging
from runtime.rights.settings import AccessSettings

app = typer.Typer()

HttpT = TypeVar("HttpT", bound=AccessSettings)

WorkersOption = Annotated[int, typer.Option(min=1, max=256, help="Processes that serve.")]

_INDEXER: Final = """Run an indexer: change events from Kafka to Qdrant and to the documents topic.

Several share the work as one consumer group. SIGTERM lets it finish its batch. `/healthz`, `/readyz` and `/metrics` are
served on FERROFLUX_HTTP__PORT (8001). Everything is set by the environment; the variables are in
docs/reference/settings.md.

**Example**

    FERROFLUX_KAFKA__BOOTSTRAP=kafka:9092 FERROFLUX_VECTORS__KIND=qdrant FERROFLUX_VECTORS__URL=http://qdrant:6333 ferroflux indexer
"""

_REPLICA: Final = """Run a text replica: documents from Kafka to a Tantivy index on local disk, which API workers beside it read.

It can be killed at any time: data and position are committed together. `/healthz`, `/readyz` and `/metrics` are served
on FERROFLUX_HTTP__PORT (8002).

**Example**

    FERROFLUX_KAFKA__BOOTSTRAP=kafka:9092 FERROFLUX_TEXT__DIRECTORY=/var/lib/ferroflux/text ferroflux replica
"""

_API: Final = """Run the search API and the page, on the replica that `ferroflux replica` keeps on this machine.

Workers are processes that share the port and the replica; each has its own encoder (about 400 MB). SIGTERM lets running
requests finish. Everything else is set by the environment.

**Example**

    FERROFLUX_VECTORS__KIND=qdrant FERROFLUX_VECTORS__URL=http://qdrant:6333 ferroflux api --workers 4 --port 8000
"""

_AGENT: Final = """Run the ordering agent: the chat API, orders, and the chat page at /chat.

It searches over HTTP (FERROFLUX_AGENT__CATALOGUE__URL) or in its own process, keeps orders in SQLite or PostgreSQL and
conversations in SQLite, PostgreSQL or Redis, and needs no language model. Any worker serves any turn. SIGTERM lets
running turns finish. Everything else is set by the environment.

**Example**

    FERROFLUX_AGENT__CATALOGUE__URL=http://search:8000 FERROFLUX_KAFKA__BOOTSTRAP=kafka:9092 \\
    FERROFLUX_AGENT__DATABASE__URL=postgresql://agent:secret@db/agent FERROFLUX_AGENT__CHECKPOINTS__KIND=postgres \\
    ferroflux agent --workers 2
"""


@app.command(help=_INDEXER)
def indexer() -> None:
    """Run an indexer."""
    from indexer.process.bootstrap import main  # noqa: PLC0415
    from indexer.settings import IndexerSettings  # noqa: PLC0415

    configure_logging()
    main(IndexerSettings())


@app.command(help=_REPLICA)
def replica() -> None:
    """Run a text replica."""
    from query_api.replica.bootstrap import run_replica  # noqa: PLC0415
    from query_api.replica.settings import ReplicaSettings  # noqa: PLC0415

    configure_logging()
    run_replica(ReplicaSettings())


@app.command(help=_API)
def api(
    *,
    workers: WorkersOption = 1,
    host: Annotated[
        str, typer.Option(help="Address to listen on; default: FERROFLUX_HTTP__HOST.", show_default=False)
    ] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; default: FERROFLUX_HTTP__PORT.", show_default=False)
    ] = None,
    insecure_open: InsecureOpenOption = False,
) -> None:
    """Run the search API."""
    from query_api.bootstrap import run_api  # noqa: PLC0415
    from query_api.settings import ApiSettings  # noqa: PLC0415

    configure_logging()
    settings = ApiSettings()
    http = _listening(settings.http, host, port, insecure_open=insecure_open)
    run_api(settings.model_copy(update={"http": http}), workers, prepare_process=configure_logging)


@app.command(help=_AGENT)
def agent(
    *,
    workers: WorkersOption = 1,
    host: Annotated[
        str, typer.Option(help="Address to listen on; default: FERROFLUX_AGENT__HTTP__HOST.", show_default=False)
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; default: FERROFLUX_AGENT__HTTP__PORT.", show_default=False),
    ] = None,
    insecure_open: InsecureOpenOption = False,
) -> None:
    """Run the ordering agent."""
    from agent.bootstrap import run_agent  # noqa: PLC0415
    from agent.settings import AgentSettings  # noqa: PLC0415

    configure_logging()
    settings = AgentSettings()
    http = _listening(settings.agent.http, host, port, insecure_open=insecure_open)
    own = settings.agent.model_copy(update={"http": http})
    run_agent(settings.model_copy(update={"agent": own}), workers, prepare_process=configure_logging)


def _listening(settings: HttpT, host: str, port: int | None, *, insecure_open: bool) -> HttpT:
    """The settings, with what the command line says over them."""
    chosen: dict[str, object] = {"insecure_open": insecure_open or settings.insecure_open}
    if host:
        chosen["host"] = host
    if port is not None:
        chosen["port"] = port
    return settings.model_copy(update=chosen)
