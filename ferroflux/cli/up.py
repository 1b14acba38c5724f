"""`ferroflux up`: everything in one process, from the start to the first Ctrl-C; the sample of a first run; what a ready system prints."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import quote

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.status import Status

from ferroflux.cli.options import InsecureOpenOption
from ferroflux.cli.output import FractionProgress
from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.progress_reporter import LoggingProgressReporter, ProgressReporter, Step
from ferroflux.embedded.sample import is_due, load_sample
from ferroflux.embedded.settings import EmbeddedOptions
from ferroflux.embedded.system import EmbeddedSystem
from query_api.bootstrap import VARIABLES
from query_api.settings import ApiSettings
from runtime import event_loop
from runtime.clock import SYSTEM_CLOCK
from runtime.event_loop import freeze_heap
from runtime.observability.logs import configure_logging, configure_quiet_logging
from runtime.rights.openness import announce, bareness, openness, require_guarded
from schemas.errors import FerrofluxError

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
    insecure_open: InsecureOpenOption = False,
) -> None:
    """Run everything in one process."""
    options = EmbeddedOptions(
        DataDirectory.resolve(data_dir), host, port, kafka_port, sample=sample, insecure_open=insecure_open
    )
    event_loop.run(run_embedded(options))


log = structlog.get_logger(__name__)

_EXAMPLE_QUERY: Final = "tornillo hexagonal 1/4"
_EXIT_FORCED: Final = 130


async def run_embedded(options: EmbeddedOptions) -> None:
    """Run the embedded system until Ctrl-C, SIGTERM, or the failure of a part.

    Raises:
        FerrofluxError: it could not start, or a part ended; the sentence says what to do.
    """
    console = Console(stderr=True, highlight=False)
    reporter: ProgressReporter
    if console.is_terminal:
        configure_quiet_logging()
        reporter = TerminalProgressReporter(console)
        console.print(f"[bold]ferroflux {version('ferroflux')}[/], data in {escape(str(options.directory.root))}")
    else:
        configure_logging()
        reporter = LoggingProgressReporter()
    _tell_rights(console, options)
    system = EmbeddedSystem(options, reporter)
    stopping = _stop_on_signals(console)
    started = SYSTEM_CLOCK.monotonic()
    starting = asyncio.create_task(system.start())
    stop_asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({starting, stop_asked}, return_when=asyncio.FIRST_COMPLETED)
    stop_asked.cancel()
    if not starting.done():
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        return
    await starting
    await _tell_ready(console, system, SYSTEM_CLOCK.monotonic() - started)
    await _live(console, system, stopping)


def _tell_rights(console: Console, options: EmbeddedOptions) -> None:
    """Who may call, before anything else happens.

    Raises:
        ConfigurationError: others would reach the port, and no keys are set.
    """
    http = options.http(ApiSettings().http)
    if not console.is_terminal:
        announce(http, VARIABLES)
        return
    require_guarded(http, VARIABLES)
    for sentence in filter(None, (openness(http, VARIABLES), bareness(http, VARIABLES))):
        console.print(f"  [yellow]![/] {escape(sentence)}", soft_wrap=True)


async def _live(console: Console, system: EmbeddedSystem, stopping: asyncio.Event) -> None:
    supervisor = system.supervisor
    # The system is whole without the sample: that it could not be loaded is told, and ends nothing.
    loading = supervisor.start(
        "load-sample", lambda: _load_sample(console, system), ends=True, ready_without=True, decides=lambda: False
    )
    try:
        await supervisor.run_until(stopping)
    finally:
        await loading.stop()
        if console.is_terminal and supervisor.failure is None:
            console.print("\nstopping (Ctrl-C again: at once, the next start mends it)")
        await system.stop()


async def _load_sample(console: Console, system: EmbeddedSystem) -> None:
    directory = system.options.directory
    counts = await system.vectors.counts()
    if not system.options.sample or not is_due(directory, empty=counts.alive + counts.dead == 0):
        return
    started = SYSTEM_CLOCK.monotonic()
    try:
        with FractionProgress(console, "loading the sample catalogue") as bar:
            products = await load_sample(
                directory, system.intake, lambda done, total: bar.update(done / total, f"{done:,} products")
            )
    except FerrofluxError as error:
        log.error("sample catalogue not loaded", code=error.code, error=str(error))  # noqa: TRY400 - the sentence is the remedy
        return
    seconds = SYSTEM_CLOCK.monotonic() - started
    log.info("sample catalogue loaded", products=products, seconds=round(seconds, 1))
    if console.is_terminal:
        console.print(f"  [green]✓[/] sample catalogue: {products:,} products in {seconds:.0f} s, all searchable\n")


def folder_option(directory: DataDirectory) -> str:
    """What a command in another terminal has to add to find this folder: nothing where it is the default one."""
    default = DataDirectory(Path(".ferroflux").absolute())
    return "" if directory == default else f" --data-dir {shlex.quote(str(directory.root))}"


async def _tell_ready(console: Console, system: EmbeddedSystem, seconds: float) -> None:
    reader = system.reader
    tenants = list(await asyncio.to_thread(reader.products))
    freeze_heap(collect=True)
    log.info("ready", url=system.url, kafka=system.broker.address, tenants=tenants, seconds=round(seconds, 2))
    if not console.is_terminal:
        return
    sample = system.options.sample and not tenants
    shown = ", ".join(tenants) if tenants else ("the sample's, in a moment" if sample else "none yet")
    tenant = tenants[0] if tenants else "ferreteria-sol" if sample else "my-shop"
    topic = system.settings.kafka.topics.changes[0]
    folder = escape(folder_option(system.options.directory))
    console.print(
        f"""
  [bold]Page[/]    {system.url}
  [bold]Chat[/]    {system.url}/chat
  [bold]API[/]     {system.url}/v1/search, described in {system.url}/openapi.json
  [bold]Kafka[/]   {system.broker.address}, topic {topic}
  [bold]Tenants[/] {shown}

  Search:  [cyan]ferroflux search "{_EXAMPLE_QUERY}" --tenant {tenant}{folder}[/]
           [cyan]curl '{system.url}/v1/search?tenant={tenant}&q={quote(_EXAMPLE_QUERY)}'[/]
  Load:    [cyan]ferroflux ingest catalogue.csv --tenant my-shop{folder}[/]

  Ready after {seconds:.1f} s. Ctrl-C stops it.
""",
        soft_wrap=True,
    )


def _stop_on_signals(console: Console) -> asyncio.Event:
    stopping = asyncio.Event()

    def ask() -> None:
        if stopping.is_set():
            console.print("stopped at once")
            sys.stderr.flush()
            os._exit(_EXIT_FORCED)
        stopping.set()

    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, ask)
    return stopping


class TerminalStep:
    """A step behind a spinner."""

    def __init__(self, what: str, spinner: Status) -> None:
        self._what = what
        self._spinner = spinner
        self.noted = ""

    def progress(self, done: int, total: int) -> None:
        """Show it beside the spinner."""
        self._spinner.update(f"{self._what}: {done:,} of {total:,}")

    def note(self, text: str) -> None:
        """Keep the note for the end."""
        self.noted = text


class TerminalProgressReporter:
    """One line a step: what, how long, what came of it."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def step(self, what: str) -> Iterator[Step]:
        """Show the step while it runs and its line when it is done."""
        started = time.perf_counter()
        with self._console.status(what) as spinner:
            step = TerminalStep(what, spinner)
            yield step
        seconds = time.perf_counter() - started
        self._console.print(f"  [green]✓[/] {what:<28} {seconds:5.1f} s   [dim]{escape(step.noted)}[/]")
