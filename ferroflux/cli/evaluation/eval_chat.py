"""`ferroflux eval-chat`: the ordering agent on recorded conversations, every expectation checked, every miss told."""

import asyncio
from pathlib import Path
from typing import Annotated, Any, Final

import orjson
import typer
from rich.console import Console
from rich.table import Table

from agent.evaluation.fixtures import Conversation, read_conversations
from agent.evaluation.running import Evaluation, evaluate, misses, summary
from agent.settings import AgentSettings, PlannerSettings
from ferroflux.cli.evaluation.options import CacheOption, CatalogueOption
from ferroflux.cli.output import FractionProgress, page_console
from ferroflux.evaluation.cache import default_cache_dir
from ferroflux.evaluation.catalogue import CatalogueSource
from ferroflux.evaluation.chat import PlannerChoice, agent_under_test, open_planner
from ferroflux.evaluation.indexing import indexed_catalogue
from retrieval.encoders.settings import EncoderSettings
from runtime.observability.logs import configure_quiet_logging
from training.systems.indexed_catalogue import IndexedCatalogue

app = typer.Typer(rich_markup_mode="markdown")

_HELP: Final = """Measure the ordering agent on conversations; the last line of the output is one JSON object.

The catalogue goes through the real pipeline into an index made for the occasion, kept by what it is made of: the first
run over a catalogue takes minutes, later ones seconds. Each conversation is a fresh session; a turn passes when all that
it expects holds. Exit status 1 where an order was submitted twice.

**Examples**

    ferroflux eval-chat --catalogue products.jsonl.gz --conversations conversations.jsonl

    ferroflux eval-chat --catalogue products.jsonl.gz --conversations conversations.jsonl --report report/

    ferroflux eval-chat --catalogue products.jsonl.gz --conversations conversations.jsonl --planner configured
"""


@app.command(name="eval-chat", help=_HELP)
def eval_chat(
    catalogue: CatalogueOption,
    conversations: Annotated[
        Path, typer.Option("--conversations", help="Conversations as JSON lines.", show_default=False)
    ],
    *,
    planner: Annotated[
        PlannerChoice,
        typer.Option(help="Which planner answers; configured: the models of FERROFLUX_AGENT__PLANNER__*."),
    ] = PlannerChoice.DETERMINISTIC,
    report: Annotated[
        Path | None,
        typer.Option(help="Folder for summary.json and the transcripts of the misses.", show_default=False),
    ] = None,
    cache_dir: CacheOption = None,
) -> None:
    """Measure the ordering agent on conversations."""
    configure_quiet_logging()
    settings = AgentSettings().agent.planner
    scripts = read_conversations(conversations)
    console = page_console()
    with FractionProgress(console, "indexing") as progress:
        indexed = indexed_catalogue(
            CatalogueSource(catalogue), EncoderSettings(), cache_dir or default_cache_dir(), progress.update
        )
    evaluation = asyncio.run(_evaluated(indexed, planner, settings, scripts))
    figures = summary(evaluation)
    told = misses(evaluation)
    if told:
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    _show(console, figures)
    if report is not None:
        report.mkdir(parents=True, exist_ok=True)
        (report / "summary.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
        (report / "misses.md").write_text(told or "Every turn passed.\n", encoding="utf-8")
    print(orjson.dumps(figures).decode())
    if evaluation.double_submissions:
        raise typer.Exit(1)


async def _evaluated(
    catalogue: IndexedCatalogue, choice: PlannerChoice, settings: PlannerSettings, scripts: tuple[Conversation, ...]
) -> Evaluation:
    async with open_planner(choice, settings) as planner:
        with agent_under_test(catalogue, planner) as chat:
            return await evaluate(chat.runtime, chat.orders, scripts)


def _show(console: Console, figures: dict[str, Any]) -> None:
    console.print(
        f"turns {figures['turns_passed']}/{figures['turns']} ({figures['turns_share']:.1%}), "
        f"conversations {figures['conversations_passed']}/{figures['conversations']} "
        f"({figures['conversations_share']:.1%}), double submissions {figures['double_submissions']}, "
        f"latency p50 {figures['latency_ms']['p50']} ms, p95 {figures['latency_ms']['p95']} ms",
        highlight=False,
    )
    for title, name in (("key", "by_key"), ("tag", "by_tag")):
        table = Table(title, "passed", "of", "share", box=None, padding=(0, 1), header_style="dim")
        for entry, share in figures[name].items():
            table.add_row(entry, str(share["passed"]), str(share["total"]), f"{share['share']:.1%}")
        console.print(table)
