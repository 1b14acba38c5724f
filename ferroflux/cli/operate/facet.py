"""`ferroflux facet list|handover|reset`: which source feeds which facet."""

import json
from typing import Annotated, Any, Final

import typer

from ferroflux.cli.operate.installation import Installation
from ferroflux.cli.options import JsonOption, shown, with_options
from ferroflux.operations.port import HandoverRequest, ResetRequest
from runtime.observability.logs import configure_quiet_logging
from schemas.product.sources import ANY_SOURCE

app = typer.Typer(no_args_is_help=True)

_TenantOption = Annotated[str, typer.Option(help="Whose facet.", metavar="TENANT", show_default=False)]
_FacetOption = Annotated[
    str, typer.Option(help="item, price or stock, or one instance such as stock:branch-2.", show_default=False)
]
_NoteOption = Annotated[str, typer.Option(help="Why, for whoever reads the history.", show_default=False)]
_YesOption = Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be.")]


@app.callback()
def group() -> None:
    """Which source feeds which facet of which tenant: versions of two sources do not compare.

    What nobody declared takes changes of every source. The history only grows, so that a replay decides as the first
    reading did.
    """


@app.command("list")
@with_options
def list_facets(
    *,
    tenant: Annotated[str, typer.Option(help="Only this tenant.", show_default=False)] = "",
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """List the facets that have declared sources or were reset, with their history."""
    configure_quiet_logging()
    answer = installation.run(lambda ops: ops.facets(tenant))
    print(json.dumps(answer, indent=2, ensure_ascii=False) if as_json else "\n".join(listing(answer)))


@app.command()
@with_options
def handover(
    *,
    tenant: _TenantOption,
    facet: _FacetOption,
    to: Annotated[str, typer.Option("--to", help="The source that feeds it from now on.", metavar="SOURCE")],
    note: _NoteOption = "",
    yes: _YesOption = False,
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Hand a facet over to another source: its rows win over all that was written before, whatever its versions count.

    What the former source wrote stays until the new one sends the row. Sources that were never declared are refused.

    **Example**

        ferroflux facet handover --tenant my-shop --facet price --to erp --yes
    """
    configure_quiet_logging()
    asked = HandoverRequest.of(tenant=tenant, facet=facet, to=to, note=note, apply=yes)
    _tell(installation.run(lambda ops: ops.hand_over(asked)), as_json=as_json)


@app.command()
@with_options
def reset(
    *,
    tenant: _TenantOption,
    facet: _FacetOption,
    note: _NoteOption = "",
    yes: _YesOption = False,
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """Free a facet's rows that a version too high keeps as they are: the next change of each row wins, whatever is stored.

    It is the facet of the whole tenant: rows without a next change stay as they are, so no row is lost by it.

    **Example**

        ferroflux facet reset --tenant my-shop --facet price --note "prices stamped a year ahead" --yes
    """
    configure_quiet_logging()
    asked = ResetRequest.of(tenant=tenant, facet=facet, note=note, apply=yes)
    _tell(installation.run(lambda ops: ops.reset(asked)), as_json=as_json)


_NOTHING: Final = "no facet has declared sources: changes of every source come in"


def listing(answer: dict[str, Any]) -> list[str]:
    """Each facet with its history, newest entry last."""
    lines = []
    for one in answer["facets"]:
        lines.append(f"{one['tenant']}  {one['facet']}  fed by {one['source'] or 'every source'}")
        for entry in one["entries"]:
            since = f"since {shown(entry['since_ms'] * 1_000)} UTC" if entry["since_ms"] else "by the mapping file"
            who = "every source" if entry["source"] == ANY_SOURCE else entry["source"]
            note = f"  ({entry['note']})" if entry["note"] else ""
            lines.append(f"    epoch {entry['epoch']}  {who}  {since}{note}")
    for one in answer["every_tenant"]:
        sources = ", ".join(f"{source} (epoch {epoch})" for source, epoch in one["sources"].items())
        lines.append(f"every tenant  {one['facet']}  fed by {sources}, by the mapping file")
    return lines or [_NOTHING]


def _tell(answer: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    print("\n".join(answer["next"]))
    if not answer["applied"]:
        print("nothing was changed; add --yes to do it")
