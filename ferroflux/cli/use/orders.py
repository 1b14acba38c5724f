"""`ferroflux orders`: the orders that were shown and submitted, one of them, and those that the log would not take."""

from enum import StrEnum
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferroflux.cli.options import JsonOption, Server, with_options
from ferroflux.cli.output import counted, page_console
from ferroflux.cli.use.chat import TenantOption
from ferroflux.cli.use.search import only_tenant
from ferroflux.http_client import ApiClient
from schemas.errors import FerrofluxError

app = typer.Typer(no_args_is_help=True)

_PAGE: Final = 200


class Status(StrEnum):
    """Where an order may stand."""

    AWAITING = "awaiting_confirmation"
    SUBMITTED = "submitted"
    WITHDRAWN = "withdrawn"


@app.callback()
def group() -> None:
    """Orders: list them, show one, try those again that were set apart."""


@app.command("list")
@with_options
def list_orders(
    *,
    tenant: TenantOption = "",
    status: Annotated[Status | None, typer.Option(help="Only orders that stand there.", show_default=False)] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.", show_default=False)] = None,
    set_apart: Annotated[
        bool, typer.Option("--set-apart", help="Only those that the log will never take as they are.")
    ] = False,
    after: Annotated[str, typer.Option(help="Go on after this order.", show_default=False)] = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Orders to show.")] = 20,
    server: Server,
    as_json: JsonOption = False,
) -> None:
    """List a tenant's orders, newest first."""
    with server.client() as client:
        tenant = tenant or only_tenant(client)
        page = client.get(
            "/v1/orders",
            tenant=tenant,
            status=status.value if status else None,
            customer=customer,
            set_apart="true" if set_apart else None,
            after=after or None,
            limit=limit,
        )
    if as_json:
        print(orjson.dumps(page, option=orjson.OPT_INDENT_2).decode())
        return
    console = page_console(highlight=False)
    if not page["orders"]:
        console.print(f"{tenant} has no such orders")
        return
    table = _table("order", "status", "lines", "total", "submitted", "customer")
    for order in page["orders"]:
        table.add_row(
            order["order_id"], _status(order), str(len(order["lines"])), escape(f"{order['total']} {order['currency']}"),
            (order["submitted_at"] or "")[:16].replace("T", " "), escape(order["customer"]),
        )  # fmt: skip
    console.print(table)
    if page["next"]:
        console.print(f"[dim]more: --after {page['next']}[/]")


@app.command()
@with_options
def show(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    *,
    tenant: TenantOption = "",
    server: Server,
    as_json: JsonOption = False,
) -> None:
    """Show one order with its lines."""
    with server.client() as client:
        found = client.get(f"/v1/orders/{order}", tenant=tenant or only_tenant(client))
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    _show(page_console(highlight=False), found)


@app.command()
@with_options
def retry(
    order: Annotated[str, typer.Argument(help="The order's id; not needed with --all.")] = "",
    *,
    every: Annotated[bool, typer.Option("--all", help="All of the tenant's orders that are set apart.")] = False,
    tenant: TenantOption = "",
    server: Server,
) -> None:
    """Have orders that were set apart published after all: after a new version, or once the topic takes larger records."""
    if bool(order) == every:
        raise typer.BadParameter("name one order, or give --all")
    console = page_console(highlight=False)
    with server.client() as client:
        tenant = tenant or only_tenant(client)
        wanted = [order] if order else _apart(client, tenant)
        failed = 0
        for each in wanted:
            try:
                client.post(f"/v1/orders/{each}/retry", {"tenant": tenant})
            except FerrofluxError as error:
                if order:
                    raise
                failed += 1
                console.print(f"{each}: {error}", markup=False)
    console.print(
        f"{counted(len(wanted) - failed, 'order')} tried again" if wanted else f"{tenant} has no orders set apart"
    )
    if failed:
        raise typer.Exit(1)


def _apart(client: ApiClient, tenant: str) -> list[str]:
    """All orders of the tenant that are set apart."""
    found: list[str] = []
    after: str | None = None
    while True:
        page = client.get("/v1/orders", tenant=tenant, set_apart="true", after=after, limit=_PAGE)
        found.extend(order["order_id"] for order in page["orders"])
        after = page["next"] or None
        if after is None:
            return found


def _status(order: dict[str, Any]) -> str:
    apart = order.get("set_apart")
    return f"set apart: {escape(apart['reason'])}" if apart else str(order["status"])


def _show(console: Console, order: dict[str, Any]) -> None:
    console.print(f"[bold]{order['order_id']}[/]  {order['status']}  conversation {escape(order['thread'])}")
    if apart := order.get("set_apart"):
        console.print(f"set apart: {apart['reason']}: {apart['detail']}", style="red", markup=False)
    table = _table("sku", "title", "quantity", "price", "amount", "to note")
    for line in order["lines"]:
        table.add_row(
            escape(line["sku"]), escape(line["title"]), escape(f"{line['quantity']} {line['unit']}".rstrip()),
            line["price"] or "", line["amount"] or "", ", ".join(line["notices"]),
        )  # fmt: skip
    console.print(table)
    unpriced = f", {counted(order['unpriced'], 'line')} without a price" if order["unpriced"] else ""
    total = escape(f"{order['total']} {order['currency']}")
    console.print(f"total [bold]{total}[/]{unpriced}")


def _table(*headings: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in headings:
        right = heading in {"lines", "total", "quantity", "price", "amount"}
        # An order's id is there to be copied.
        # Nothing is cut off: what does not fit goes on in the next line.
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading == "order", overflow="fold")
    return table
