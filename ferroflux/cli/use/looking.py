"""Looking before writing, for the commands that write: which way it is looked, and how its words are shown."""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from typing import Annotated, Final

import typer

from ferroflux.ingest.held.gate import Gate
from ferroflux.ingest.held.verdict import Rules
from ferroflux.ingest.held.versions import HeldVersions, HttpHeldVersions

EXIT_OLDER: Final = 3
"""What was sent, or part of it, is older than what is there, which stays."""

ForceOption = Annotated[
    bool,
    typer.Option(
        "--force", help="Send also what would freeze what is there; who fed it before then has to be stopped."
    ),
]
LookOption = Annotated[
    bool, typer.Option("--look/--no-look", help="Look first whether the changes can win over what is there.")
]


SourceOption = Annotated[
    str,
    typer.Option(help="Whose changes these are, where it is declared who feeds a facet (`ferroflux facet list`)."),
]


def gate_of(kafka: str, url: str, key: str, *, source: str, option: str, by_clock: bool, force: bool) -> Gate:
    """The gate before a cluster (by the operator's settings) or a running system; its warnings go to standard error."""
    held: HeldVersions = _of_operator(kafka) if kafka else HttpHeldVersions(url, api_key=key)
    return Gate(held, Rules(option, by_clock), source, force=force, on_note=warn)


def warn(sentence: str) -> None:
    """A warning on standard error."""
    print(f"warning: {sentence}", file=sys.stderr)


def _of_operator(kafka: str) -> HeldVersions:
    # The store's clients take half a second to import, which only a writer to a cluster needs.
    from ferroflux.cli.operate.installation import indexer_settings  # noqa: PLC0415
    from ferroflux.ingest.held.store import Opened, OperatorsHeldVersions, open_production  # noqa: PLC0415

    async def opening(stack: AsyncExitStack) -> Opened:
        return await open_production(indexer_settings(kafka), stack)

    return OperatorsHeldVersions(opening)
