"""`ferroflux agent`: the chat API and the chat page."""

from typing import Annotated, Any, Final

import typer

from agent.bootstrap import run_agent
from agent.settings import AgentSettings
from runtime.logs import configure_logging

app = typer.Typer()

_HELP: Final = """Run the ordering agent: the chat API, orders, and the chat page at /chat.

It searches over HTTP (FERROFLUX_AGENT__CATALOGUE__URL) or in its own process, keeps orders in SQLite or PostgreSQL and
conversations in SQLite, PostgreSQL or Redis, and needs no language model. Any worker serves any turn. SIGTERM lets
running turns finish. Everything else is set by the environment.

**Example**

    FERROFLUX_AGENT__CATALOGUE__URL=http://search:8000 FERROFLUX_KAFKA__BOOTSTRAP=kafka:9092 \\
    FERROFLUX_AGENT__DATABASE__URL=postgresql://agent:secret@db/agent FERROFLUX_AGENT__CHECKPOINTS__KIND=postgres \\
    ferroflux agent --workers 2
"""


@app.command(help=_HELP)
def agent(
    *,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that serve.")] = 1,
    host: Annotated[
        str, typer.Option(help="Address to listen on; default: FERROFLUX_AGENT__HTTP__HOST.", show_default=False)
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port; default: FERROFLUX_AGENT__HTTP__PORT.", show_default=False),
    ] = None,
    insecure_open: Annotated[
        bool,
        typer.Option(
            "--insecure-open",
            help="Listen on any address without keys: whoever reaches the port may change everything.",
        ),
    ] = False,
) -> None:
    """Run the ordering agent."""
    configure_logging()
    settings = AgentSettings()
    chosen: dict[str, Any] = {
        name: value for name, value in (("host", host or None), ("port", port)) if value is not None
    }
    chosen["insecure_open"] = insecure_open or settings.agent.http.insecure_open
    http = settings.agent.http.model_copy(update=chosen)
    own = settings.agent.model_copy(update={"http": http})
    run_agent(settings.model_copy(update={"agent": own}), workers, prepare_process=configure_logging)
