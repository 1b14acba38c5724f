"""`ferroflux search`: a search on the command line, with the reason why each product is there."""

from collections.abc import Iterator
from dataclasses import asdict, make_dataclass
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferroflux.cli.options import JsonOption, Server, with_options
from ferroflux.cli.output import page_console
from ferroflux.http_client import ApiClient
from schemas.catalogue import FILTERABLE, Filter
from schemas.errors import InvalidRequestError

app = typer.Typer()

_HELP: Final = """Search a tenant's catalogue.

Every hit shows its signals: which retriever found it (text: its words; dense: its meaning; sparse: learned words, where
a model for them is set; code: its SKU, EAN or part number), and at which rank.

**Examples**

    ferroflux search "tornillo hexagonal 1/4"

    ferroflux search "cinta aislante" --tenant my-shop --brand Acme --price-max 50 --in-stock

    ferroflux search "m8x40" --json
"""


def _filter_options() -> Iterator[tuple[str, Any]]:
    """An option for every condition that the table of catalogue fields knows: its name and its type."""
    for field in FILTERABLE:
        words = field.key.replace("_", " ")
        if field.filter is Filter.RANGE:
            for name, which in zip(field.parameters, ("Lowest", "Highest"), strict=True):
                yield name, Annotated[float | None, typer.Option(min=field.bounds[0], help=f"{which} {words}.")]
        elif field.filter is Filter.FLAG:
            yield (
                field.key,
                Annotated[bool | None, typer.Option(f"--{field.key.replace('_', '-')}", help=field.description)],
            )
        else:
            yield field.key, Annotated[list[str] | None, typer.Option(help=f"Only this {words}. May be repeated.")]


Filters = make_dataclass("Filters", [(name, kind, None) for name, kind in _filter_options()], frozen=True)
"""The conditions as a group of options."""


@app.command(help=_HELP)
@with_options
def search(
    text: Annotated[
        str, typer.Argument(help="What a buyer would type; empty lists the catalogue.", show_default=False)
    ] = "",
    *,
    tenant: Annotated[
        str, typer.Option(help="The tenant; not needed where there is one only.", show_default=False)
    ] = "",
    filters: Filters,  # type: ignore[valid-type] # made from the table
    limit: Annotated[int, typer.Option(min=1, max=100, help="Hits to show.")] = 10,
    offset: Annotated[int, typer.Option(min=0, max=1000, help="Hits to pass over.")] = 0,
    server: Server,
    as_json: JsonOption = False,
) -> None:
    """Search a tenant's catalogue."""
    with server.client() as client:
        tenant = tenant or only_tenant(client)
        request = {
            "tenant": tenant,
            "text": text,
            "filters": {name: value for name, value in asdict(filters).items() if value is not None},
            "limit": limit,
            "offset": offset,
            "facets": False,
        }
        answer = client.post("/v1/search", request)
    if as_json:
        print(orjson.dumps(answer, option=orjson.OPT_INDENT_2).decode())
        return
    _show(page_console(), tenant, answer, offset)


def only_tenant(client: ApiClient) -> str:
    """The one tenant of the system.

    Raises:
        InvalidRequestError: there are several, or none.
    """
    tenants = client.get("/v1/tenants")["tenants"]
    if not tenants:
        raise InvalidRequestError("there is nothing to search yet: load a catalogue with `ferroflux ingest FILE`")
    if len(tenants) > 1:
        raise InvalidRequestError(f"there are several tenants, name one with --tenant: {', '.join(tenants)}")
    return str(tenants[0])


def _show(console: Console, tenant: str, answer: dict[str, Any], offset: int) -> None:
    hits = answer["hits"]
    took = sum(answer["timings_ms"].values()) if "total" not in answer["timings_ms"] else answer["timings_ms"]["total"]
    found = f"{answer['total']}{'+' if answer['truncated'] else ''}"
    console.print(f"[bold]{tenant}[/]: {len(hits)} of {found} products, {took:.1f} ms", highlight=False)
    for degraded in answer.get("degraded") or ():
        console.print(f"  [yellow]without {degraded['retriever']}: {degraded['reason']}[/]")
    if not hits:
        return
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading, options in (
        ("", {"justify": "right"}),
        ("sku", {"style": "cyan", "no_wrap": True}),
        ("title", {"ratio": 1}),
        ("brand", {}),
        ("price", {"justify": "right", "no_wrap": True}),
        ("stock", {"justify": "right", "no_wrap": True}),
        ("found by", {"style": "green"}),
    ):
        table.add_column(heading, **options)
    for place, hit in enumerate(hits, start=offset + 1):
        item = hit["item"]
        table.add_row(
            str(place),
            escape(item["sku"]),
            escape(item.get("title", "")),
            escape(item.get("brand", "")),
            escape(price(item)),
            "" if item.get("stock") is None else f"{item['stock']:,.10g}",
            signals(hit["signals"]),
        )
    console.print(table)


def price(item: dict[str, Any]) -> str:
    """`12.50 MXN`, empty where the catalogue gives none."""
    return "" if item.get("price") is None else f"{item['price']:,.2f} {item.get('currency', '')}".rstrip()


def signals(found: list[dict[str, Any]]) -> str:
    """`text #1 · dense #29`: each retriever that found it, and the rank there; the shares of the score are in --json."""
    return " · ".join(f"{signal['retriever']} #{signal['rank']}" for signal in found)
