"""`ferroflux api`: the search API and the page."""

from typing import Annotated, Any, Final

import typer

from query_api.bootstrap import run_api
from query_api.settings import ApiSettings
from runtime.logs import configure_logging

app = typer.Typer()

_HELP: Final = """Run the search API and the page, on the replica that `ferroflux replica` keeps on this machine.

Workers are processes that share the port and the replica; each has its own encoder (about 400 MB). SIGTERM lets running
requests finish. Everything else is set by the environment.

**Example**

    FERROFLUX_VECTORS__KIND=qdrant FERROFLUX_VECTORS__URL=http://qdrant:6333 ferroflux api --workers 4 --port 8000
"""


@app.command(help=_HELP)
def api(
    *,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that serve.")] = 1,
    host: Annotated[
        str, typer.Option(help="Address to listen on; default: FERROFLUX_HTTP__HOST.", show_default=False)
    ] = "",
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; default: FERROFLUX_HTTP__PORT.", show_default=False)
    ] = None,
    insecure_open: Annotated[
        bool,
        typer.Option(
            "--insecure-open",
            help="Listen on any address without keys: whoever reaches the port may change everything.",
        ),
    ] = False,
) -> None:
    """Run the search API."""
    configure_logging()
    settings = ApiSettings()
    chosen: dict[str, Any] = {
        name: value for name, value in (("host", host or None), ("port", port)) if value is not None
    }
    chosen["insecure_open"] = insecure_open or settings.http.insecure_open
    run_api(
        settings.model_copy(update={"http": settings.http.model_copy(update=chosen)}),
        workers,
        prepare_process=configure_logging,
    )
