"""`ferroflux gc`: tombstones that no replay can reach any more."""

from typing import Annotated, Any, Final

import orjson
import typer

from ferroflux.cli.operate.installation import GenerationOption, Installation
from ferroflux.cli.options import JsonOption, duration_s, shown, with_options
from ferroflux.cli.output import counted
from ferroflux.operations.port import TombstoneGcRequest
from runtime.observability.logs import configure_quiet_logging

app = typer.Typer()

_HELP: Final = """Remove the tombstones of deleted products from the vector store, the documents topic and the replicas.

A tombstone keeps a late, older row from bringing a deleted product back. It is removed only where its product was last
heard of before the change log begins (so no replay can bring an older row) and longer than `--older-than` ago. Without
`--yes` it only counts. A product that comes back at the same moment is never removed. Each generation has tombstones of
its own.

**Examples**

    ferroflux gc

    ferroflux gc --kafka kafka:9092 --older-than 30d --yes
"""


@app.command(help=_HELP)
@with_options
def gc(
    *,
    older_than: Annotated[
        str, typer.Option(help="Last heard of at least so long ago; longer than a replica may be away.")
    ] = "15d",
    tenant: Annotated[str, typer.Option(help="Only this tenant.", show_default=False)] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only count.")] = False,
    prune_journal: Annotated[
        bool,
        typer.Option(
            "--prune-journal",
            help="Without --kafka: forget journalled changes of that age first. A rebuild no longer sees them.",
        ),
    ] = False,
    generation: GenerationOption = "",
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Remove tombstones that no replay can reach."""
    configure_quiet_logging()
    asked = TombstoneGcRequest.of(
        older_than_s=duration_s(older_than), tenant=tenant, apply=yes, prune_journal=prune_journal
    )
    counts = installation.run(lambda ops: ops.tombstone_gc(asked), generation=generation)
    if as_json:
        print(orjson.dumps(counts, option=orjson.OPT_INDENT_2).decode())
    else:
        _tell(counts, applied=yes)


def _tell(counts: dict[str, Any], *, applied: bool) -> None:
    print(f"{counted(counts['tombstones'], 'tombstone')}; the bound is {shown(counts['before_us'])} UTC")
    print(f"{counts['within_reach']:,} kept: heard of since, so a replay or a late row could still concern them")
    print(f"{counts['changed']:,} kept: changed since their document was written")
    if applied:
        print(f"{counts['removed']:,} removed, {counts['revived']:,} came back meanwhile and were published again")
    else:
        print(f"{counts['due']:,} would be removed; add --yes to do it")
