"""Which commands there are, and loading each only when it is called, so that `ferroflux --help` answers at once."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

from runtime.observability.redaction import redacted

RUN_PANEL: Final = "Run"
USE_PANEL: Final = "Use"
OPERATE_PANEL: Final = "Operate"
CHECK_PANEL: Final = "Check"
LEARN_PANEL: Final = "Learn"


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command: its name, the module whose `app` it is, its line in the overview; `group` where it has subcommands."""

    name: str
    module: str
    help: str
    panel: str
    group: bool = False


COMMANDS: Final = (
    CommandEntry("up", "ferroflux.cli.up", "Run everything in one process, over one data directory.", RUN_PANEL),
    CommandEntry("indexer", "ferroflux.cli.processes", "Run an indexer: change events from Kafka to the indexes.", RUN_PANEL),
    CommandEntry("replica", "ferroflux.cli.processes", "Run a text replica: documents from Kafka to local disk.", RUN_PANEL),
    CommandEntry("api", "ferroflux.cli.processes", "Run the search API and the page.", RUN_PANEL),
    CommandEntry("agent", "ferroflux.cli.processes", "Run the ordering agent: chat API, orders, chat page.", RUN_PANEL),
    CommandEntry("ingest", "ferroflux.cli.use.ingest", "Load a catalogue file (CSV, JSON lines, Parquet).", USE_PANEL),
    CommandEntry("produce", "ferroflux.cli.use.produce", "Send one change of one product.", USE_PANEL),
    CommandEntry("search", "ferroflux.cli.use.search", "Search, and see why each product was found.", USE_PANEL),
    CommandEntry("aliases", "ferroflux.cli.use.aliases", "List, import, propose and approve a tenant's vocabulary.", USE_PANEL, group=True),
    CommandEntry("chat", "ferroflux.cli.use.chat", "Order in the terminal; trace how each turn went.", USE_PANEL, group=True),
    CommandEntry("orders", "ferroflux.cli.use.orders", "List and show orders.", USE_PANEL, group=True),
    CommandEntry("status", "ferroflux.cli.use.status", "Show counts, lag and freshness of a running system.", USE_PANEL),
    CommandEntry("reconcile", "ferroflux.cli.operate.reconcile", "Compare the stores with the truth, and mend what differs.", OPERATE_PANEL),
    CommandEntry("dlq", "ferroflux.cli.operate.dlq", "List, show, redrive and discard dead letters.", OPERATE_PANEL, group=True),
    CommandEntry("facet", "ferroflux.cli.operate.facet", "Say which source feeds a facet, hand it over, free its rows.", OPERATE_PANEL, group=True),
    CommandEntry("replay", "ferroflux.cli.operate.replay", "Take a stretch of the change log in again.", OPERATE_PANEL),
    CommandEntry("gc", "ferroflux.cli.operate.gc", "Remove tombstones that no replay can reach any more.", OPERATE_PANEL),
    CommandEntry("snapshot", "ferroflux.cli.operate.snapshot", "Take, list, verify and restore snapshots of the text replica.", OPERATE_PANEL, group=True),
    CommandEntry("generation", "ferroflux.cli.operate.generation", "Build another index beside the live one, compare, promote, roll back.", OPERATE_PANEL, group=True),
    CommandEntry("probe", "ferroflux.cli.use.probe", "Measure how long a change takes to be searchable, now.", USE_PANEL),
    CommandEntry("doctor", "ferroflux.cli.check.doctor", "Say what is missing here, and how to get it.", CHECK_PANEL),
    CommandEntry("events", "ferroflux.cli.check.events", "Check files of change events before you send them.", CHECK_PANEL, group=True),
    CommandEntry("eval", "ferroflux.cli.evaluation.evaluate", "Measure search quality on judged queries.", LEARN_PANEL),
    CommandEntry("eval-chat", "ferroflux.cli.evaluation.eval_chat", "Measure the ordering agent on conversations.", LEARN_PANEL),
    CommandEntry("tune", "ferroflux.cli.evaluation.tune", "Choose fusion settings on judged queries.", LEARN_PANEL),
    CommandEntry("calibrate", "ferroflux.cli.evaluation.calibrate", "Calibrate the routes on judged queries.", LEARN_PANEL),
    CommandEntry("version", "ferroflux.cli.check.doctor", "Print the version and those of the engines.", CHECK_PANEL),
)  # fmt: skip


_USAGE_ERROR: Final[type[BaseException]] = typer.BadParameter.__mro__[1]
"""What is said of any wrong argument. Typer brings a parser of its own along and names only this kind of it in public."""


class LazyGroup(TyperGroup):
    """The root command. For its own help it holds one line a command; the one that is called is loaded then."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entries = {entry.name: entry for entry in COMMANDS}
        for entry in COMMANDS:
            self.add_command(
                TyperCommand(name=entry.name, help=entry.help, rich_help_panel=entry.panel, rich_markup_mode=None)
            )

    def make_context(self, *arguments: Any, **options: Any) -> Any:
        """As usual; what is said of a wrong argument repeats it without the secrets in it."""
        with _without_secrets():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: Any) -> Any:
        """As usual; what is said of a wrong argument of the command repeats it without the secrets in it."""
        with _without_secrets():
            return super().invoke(ctx)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command as usual, then put the real one in the place of its line."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        return name, load(self._entries[name]), rest


@contextmanager
def _without_secrets() -> Iterator[None]:
    try:
        yield
    except _USAGE_ERROR as error:
        error.__dict__["message"] = redacted(error.__dict__["message"])
        raise


def load(entry: CommandEntry) -> Any:
    """Import a command's module and build its command; a module may hold several, each by its name."""
    found = typer.main.get_group(importlib.import_module(entry.module).app)
    command = found if entry.group else found.commands[entry.name]
    command.name = entry.name
    return command
