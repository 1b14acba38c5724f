"""`ferroflux dlq list|show|redrive|discard`: the records that could not be processed."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from ferroflux.cli.operate.installation import Installation
from ferroflux.cli.options import JsonOption, moment_us, shown, with_options
from ferroflux.operations.port import FOREVER_US, Letters
from indexer.deadletters.letter import LetterId
from indexer.deadletters.service import DEFAULT_CEILING
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import InvalidRequestError

app = typer.Typer(no_args_is_help=True)

_ReasonOption = Annotated[str, typer.Option(help="Only of this reason, such as invalid_event.", show_default=False)]
_TenantOption = Annotated[str, typer.Option(help="Only of this tenant.", show_default=False)]
_SinceOption = Annotated[str, typer.Option(help="Written since: 2h (ago), or 2026-11-20T10:00.", show_default=False)]
_UntilOption = Annotated[str, typer.Option(help="Written before.", show_default=False)]
_IdsArgument = Annotated[list[str] | None, typer.Argument(help="Ids, as `list` shows them.", show_default=False)]
_AllOption = Annotated[bool, typer.Option("--all", help="Every open letter, where no filter and no id is given.")]


@app.callback()
def group() -> None:
    """Dead letters: records that could not be processed, with the reason, their original bytes, key, headers and place.

    Nothing is ever deleted from the topic: redriving or discarding a letter puts a marker beside it.
    """


@app.command("list")
@with_options
def list_letters(
    *,
    reason: _ReasonOption = "",
    tenant: _TenantOption = "",
    since: _SinceOption = "",
    until: _UntilOption = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most letters shown.")] = 50,
    installation: Installation,
    as_json: JsonOption = False,
) -> None:
    """List open dead letters, oldest first.

    **Example**

        ferroflux dlq list --reason invalid_event --since 2h
    """
    configure_quiet_logging()
    asked = _asked(reason, tenant, since, until, [])
    answer = installation.run(lambda ops: ops.letters(asked, limit))
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    print("\n".join(_listing(answer)))


@app.command()
@with_options
def show(
    letter: Annotated[str, typer.Argument(help="The letter's id, as `list` shows it.")],
    *,
    installation: Installation,
) -> None:
    """Show one dead letter whole: reason, coordinates, key, headers, value."""
    configure_quiet_logging()
    asked = LetterId.parse(letter)
    answer = installation.run(lambda ops: ops.letter(asked))
    print(json.dumps(answer, indent=2, ensure_ascii=False))


@app.command()
@with_options
def redrive(
    ids: _IdsArgument = None,
    *,
    reason: _ReasonOption = "",
    tenant: _TenantOption = "",
    since: _SinceOption = "",
    until: _UntilOption = "",
    every: _AllOption = False,
    max_attempts: Annotated[
        int, typer.Option(min=1, help="Leave alone what was tried so often; raise it to insist.")
    ] = DEFAULT_CEILING,
    installation: Installation,
) -> None:
    """Send the records of open letters to their topics again, each once, after the cause was mended.

    What fails again becomes a new letter with a higher attempt count.

    **Example**

        ferroflux dlq redrive --reason unmapped_table
    """
    configure_quiet_logging()
    asked = _chosen(ids, reason, tenant, since, until, every=every, max_attempts=max_attempts)
    done = installation.run(lambda ops: ops.redrive(asked))
    gone, refused = done.get("gone", []), done.get("refused", [])
    print(f"{done['settled']} redriven")
    if not (done["settled"] or done["at_ceiling"] or gone or refused):
        print("no open letter is meant; `ferroflux dlq list` shows those that are open, with their reasons")
    if done["at_ceiling"]:
        print(f"{done['at_ceiling']} left: tried {max_attempts} times or more (--max-attempts raises the ceiling)")
    if gone:
        print(
            f"{len(gone)} left: the letter holds only the beginning, and the original is not in its topic any more "
            f"({_ids(gone)}): let the source send these rows again (of a documents topic, `ferroflux reconcile --repair` publishes "
            "the products from the store), then discard the letters"
        )
    if refused:
        print(
            f"{len(refused)} left: the topic does not take the record ({_ids(refused)}): "
            "raise its max.message.bytes, or discard the letters"
        )


@app.command()
@with_options
def discard(
    ids: _IdsArgument = None,
    *,
    reason: _ReasonOption = "",
    tenant: _TenantOption = "",
    since: _SinceOption = "",
    until: _UntilOption = "",
    every: _AllOption = False,
    installation: Installation,
) -> None:
    """Mark open letters as done with. Their records stay in the topic until its retention ends.

    **Example**

        ferroflux dlq discard 3-1042 3-1043
    """
    configure_quiet_logging()
    asked = _chosen(ids, reason, tenant, since, until, every=every)
    done = installation.run(lambda ops: ops.discard(asked))
    print(f"{done['settled']} discarded")


def _chosen(
    ids: list[str] | None,
    reason: str,
    tenant: str,
    since: str,
    until: str,
    *,
    every: bool,
    max_attempts: int = DEFAULT_CEILING,
) -> Letters:
    if not (ids or reason or tenant or since or until or every):
        raise InvalidRequestError("which letters? Give ids, a filter (--reason, --tenant, --since, --until), or --all")
    return _asked(reason, tenant, since, until, ids or [], max_attempts)


def _asked(
    reason: str, tenant: str, since: str, until: str, ids: list[str], max_attempts: int = DEFAULT_CEILING
) -> Letters:
    return Letters.of(
        reason=reason,
        tenant=tenant,
        since_us=moment_us(since) if since else 0,
        until_us=moment_us(until) if until else FOREVER_US,
        ids=tuple(map(str, sorted(set(map(LetterId.parse, ids))))),
        max_attempts=max_attempts,
    )


def _ids(letters: Sequence[str]) -> str:
    shown = ", ".join(letters[:10])
    return shown if len(letters) <= 10 else f"{shown}, …"


def _listing(answer: dict[str, Any]) -> list[str]:
    """The letters as lines, each with its detail beneath: what the next command needs is never cut, however narrow the terminal."""
    rows = [("id", "time (UTC)", "reason", "tenant", "tries", "record")]
    rows += [
        (one["id"], shown(one["time_us"]), one["reason"], one["tenant"], str(one["attempt"]), one["record"])
        for one in answer["letters"]
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    head, letters = lines[0], lines[1:]
    detailed = [
        f"{line}\n    {one['detail']}{_truncated(one)}" for line, one in zip(letters, answer["letters"], strict=True)
    ]
    return [head, *detailed, f"{answer['open']} open, {len(letters)} shown"]


def _truncated(letter: dict[str, Any]) -> str:
    cut = letter.get("truncated")
    return f"\n    holds only the beginning of a record of {cut['size']:,} bytes" if cut else ""
