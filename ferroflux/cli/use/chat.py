"""`ferroflux chat`: ordering in the terminal; how each turn of a conversation went; conversations that were set apart."""

import sys
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ferroflux.cli.options import JsonOption, Server, with_options
from ferroflux.cli.output import page_console
from ferroflux.cli.use.search import only_tenant
from schemas.errors import FerrofluxError

app = typer.Typer(invoke_without_command=True)

TenantOption = Annotated[str, typer.Option(help="The tenant; not needed where there is one only.", show_default=False)]


@app.callback()
@with_options
def chat(
    context: typer.Context,
    *,
    tenant: TenantOption = "",
    thread: Annotated[str, typer.Option(help="Go on with this conversation.", show_default=False)] = "",
    server: Server,
) -> None:
    """Order in the terminal: write what you need, then confirm. An empty line or Ctrl-D ends it.

    Messages are also read from a pipe, one a line.
    """
    if context.invoked_subcommand is not None:
        return
    console = Console(highlight=False)
    with server.client() as client:
        tenant = tenant or only_tenant(client)
        conversation = thread
        console.print(f"[bold]{tenant}[/], {f'conversation {conversation}' if conversation else 'a new conversation'}")
        while (message := _message(console)) is not None:
            try:
                going_on = {"thread": conversation} if conversation else {}
                reply = client.post("/v1/chat", {"tenant": tenant, "message": message, **going_on})
            except FerrofluxError as error:
                console.print(str(error), style="red", markup=False)
                continue
            conversation = reply["thread"]
            show_reply(console, reply)
    if conversation:
        console.print(f"[dim]go on with: ferroflux chat --tenant {tenant} --thread {conversation}[/]")


@app.command()
@with_options
def trace(
    thread: Annotated[str, typer.Argument(help="The conversation.")],
    *,
    tenant: TenantOption = "",
    server: Server,
    as_json: JsonOption = False,
) -> None:
    """Show how each turn went: planner, tools with arguments and outcomes, tokens, time by step."""
    with server.client() as client:
        turns = client.get(f"/v1/chat/{thread}/trace", tenant=tenant or only_tenant(client))
    if as_json:
        print(orjson.dumps(turns, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console(highlight=False)
    for turn in turns:
        _show_turn(console, turn)


@app.command(name="set-apart")
@with_options
def set_apart(
    *,
    tenant: TenantOption = "",
    limit: Annotated[int, typer.Option(min=1, max=200, help="Conversations to show.")] = 50,
    server: Server,
    as_json: JsonOption = False,
) -> None:
    """List the conversations at which something failed by a fault of ours, the newest failure first."""
    with server.client() as client:
        tenant = tenant or only_tenant(client)
        found = client.get("/v1/chat", tenant=tenant, limit=limit)
    if as_json:
        print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
        return
    console = page_console(highlight=False)
    if not found["threads"]:
        console.print(f"{tenant} has no conversations set apart")
        return
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for heading in ("conversation", "stage", "times", "last", "reason"):
        table.add_column(heading, overflow="fold")
    for one in found["threads"]:
        last = (one["last_at"] or "")[:16].replace("T", " ")
        table.add_row(one["thread"], one["stage"], str(one["times"]), last, escape(f"{one['reason']}: {one['detail']}"))
    console.print(table)


@app.command()
@with_options
def retry(
    thread: Annotated[str, typer.Argument(help="The conversation.")],
    *,
    tenant: TenantOption = "",
    server: Server,
) -> None:
    """Have a conversation that was set apart tried again: after a new version, or when its failure has been looked at."""
    with server.client() as client:
        client.post(f"/v1/chat/{thread}/retry", {"tenant": tenant or only_tenant(client)})
    page_console(highlight=False).print(f"conversation {thread} is tried again", markup=False)


def show_reply(console: Console, reply: dict[str, Any]) -> None:
    """The answer's text, and which planner it came from where that is not the one that was wanted."""
    console.print(reply["text"], markup=False)
    metadata = reply["metadata"]
    notes = [f"{metadata['planner'] or 'search alone'}", f"{metadata['latency_ms'].get('total', 0):.0f} ms"]
    if metadata["degraded"]:
        notes.append(f"in place of the model: {metadata['degraded']}")
    console.print(f"[dim]{' · '.join(notes)}[/]")


_SHOWN_ARGUMENTS: Final = 120


def _show_turn(console: Console, turn: dict[str, Any]) -> None:
    planner = "search alone" if turn["bypassed"] else turn["planner"]
    why = f", in place of the model: {turn['degraded']}" if turn["degraded"] else ""
    console.print(f"[bold]{turn['turn']}[/]  ", end="")
    console.print(turn["message"], markup=False)
    console.print(f"   [dim]{planner}{why}, {turn['total_ms']:.0f} ms[/]")
    if turn["models"]:
        tokens = f"{turn['input_tokens']} + {turn['output_tokens']} tokens"
        console.print(f"   [dim]{', '.join(turn['models'])}: {tokens}, cost {turn['cost']}[/]")
    table = Table(box=None, padding=(0, 1), show_header=False)
    for tool in turn["tools"]:
        outcome = "[green]ok[/]" if tool["ok"] else f"[red]{escape(tool['reason'] or 'failed')}[/]"
        arguments = orjson.dumps(tool["args"]).decode()[:_SHOWN_ARGUMENTS]
        table.add_row("  ", tool["name"], outcome, f"{tool['milliseconds']:.1f} ms", escape(arguments))
    if turn["tools"]:
        console.print(table)
    steps = ", ".join(f"{step} {milliseconds:.1f}" for step, milliseconds in turn["latency_ms"].items())
    console.print(f"   [dim]{steps}[/]")


def _message(console: Console) -> str | None:
    try:
        said = console.input("[bold cyan]>[/] ") if sys.stdin.isatty() else input()
    except EOFError:
        return None
    return said.strip() or None
