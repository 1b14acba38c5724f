"""`ferroflux dlq list|show|redrive|discard`: the records that could not be processed."""

import asyncio
import json
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from ferroflux.cli.operate.settings import KafkaOption, indexer_settings
from ferroflux.cli.operate.times import moment_us, shown
from ferroflux.cli.options import DataDirOption, JsonOption, KeyOption, UrlOption
from ferroflux.operations.http_client import ApiClient, api_key, locate
from indexer.deadletters.desk import DEFAULT_CEILING, DeadLetterDesk, LetterFilter, Settled
from indexer.deadletters.kafka import KafkaDeadLetterStore
from indexer.deadletters.letter import LetterId
from indexer.service.clock import SystemClock
from runtime.logs import configure_quiet_logging
from schemas.errors import InvalidRequestError

app = typer.Typer(no_args_is_help=True)

_FOREVER_US: Final = 2**63

_ReasonOption = Annotated[str, typer.Option(help="Only of this reason, such as invalid_event.", show_default=False)]
_TenantOption = Annotated[str, typer.Option(help="Only of this shop.", show_default=False)]
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
def list_letters(
    *,
    reason: _ReasonOption = "",
    tenant: _TenantOption = "",
    since: _SinceOption = "",
    until: _UntilOption = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most letters shown.")] = 50,
    kafka: KafkaOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """List open dead letters, oldest first.

    **Example**

        ferroflux dlq list --reason invalid_event --since 2h
    """
    configure_quiet_logging()
    which = _filter(reason, tenant, since, until, [])
    if kafka:
        letters = asyncio.run(_desk(kafka).open_letters(which))
        answer = {"open": len(letters), "letters": [letter.to_json(whole=False) for letter in letters[:limit]]}
    else:
        with ApiClient(locate(url, data_dir), key=api_key(key)) as client:
            answer = client.get(
                "/v1/dead-letters",
                reason=reason, tenant=tenant, since_us=which.since_us, until_us=which.until_us, limit=limit,
            )  # fmt: skip
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    print("\n".join(_listing(answer)))


@app.command()
def show(
    letter: Annotated[str, typer.Argument(help="The letter's id, as `list` shows it.")],
    *,
    kafka: KafkaOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
) -> None:
    """Show one dead letter whole: reason, coordinates, key, headers, value."""
    configure_quiet_logging()
    if kafka:
        answer = asyncio.run(_desk(kafka).letter(LetterId.parse(letter))).to_json(whole=True)
    else:
        with ApiClient(locate(url, data_dir), key=api_key(key)) as client:
            answer = client.get(f"/v1/dead-letters/{LetterId.parse(letter)}")
    print(json.dumps(answer, indent=2, ensure_ascii=False))


@app.command()
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
    kafka: KafkaOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
) -> None:
    """Send the records of open letters to their topics again, each once, after the cause was mended.

    What fails again becomes a new letter with a higher attempt count.

    **Example**

        ferroflux dlq redrive --reason unmapped_table
    """
    which = _chosen(ids, reason, tenant, since, until, every=every)
    settled = _settle("redrive", which, max_attempts, kafka, url, data_dir, key)
    print(f"{settled.settled} redriven")
    if settled == Settled(0):
        print("no open letter is meant; `ferroflux dlq list` shows those that are open, with their reasons")
    if settled.at_ceiling:
        print(f"{settled.at_ceiling} left: tried {max_attempts} times or more (--max-attempts raises the ceiling)")
    if settled.gone:
        print(
            f"{len(settled.gone)} left: the letter holds only the beginning, and the original is not in its topic any more "
            f"({_ids(settled.gone)}): let the source send these rows again (of a documents topic, `ferroflux reconcile --repair` publishes "
            "the products from the store), then discard the letters"
        )
    if settled.refused:
        print(
            f"{len(settled.refused)} left: the topic does not take the record ({_ids(settled.refused)}): "
            "raise its max.message.bytes, or discard the letters"
        )


@app.command()
def discard(
    ids: _IdsArgument = None,
    *,
    reason: _ReasonOption = "",
    tenant: _TenantOption = "",
    since: _SinceOption = "",
    until: _UntilOption = "",
    every: _AllOption = False,
    kafka: KafkaOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
) -> None:
    """Mark open letters as done with. Their records stay in the topic until its retention ends.

    **Example**

        ferroflux dlq discard 3-1042 3-1043
    """
    which = _chosen(ids, reason, tenant, since, until, every=every)
    print(f"{_settle('discard', which, 1, kafka, url, data_dir, key).settled} discarded")


def _settle(
    action: str, which: LetterFilter, max_attempts: int, kafka: str, url: str, data_dir: Any, key: str
) -> Settled:
    configure_quiet_logging()
    if kafka:
        desk = _desk(kafka)
        return asyncio.run(desk.redrive(which, ceiling=max_attempts) if action == "redrive" else desk.discard(which))
    body = {
        "reason": which.reason, "tenant": which.tenant, "since_us": which.since_us, "until_us": which.until_us,
        "ids": [str(one) for one in sorted(which.ids)], "max_attempts": max_attempts,
    }  # fmt: skip
    with ApiClient(locate(url, data_dir), key=api_key(key)) as client:
        answer = client.post(f"/v1/dead-letters/{action}", body)
    gone, refused = (tuple(map(LetterId.parse, answer.get(name, ()))) for name in ("gone", "refused"))
    return Settled(answer["settled"], answer["at_ceiling"], gone, refused)


def _chosen(ids: list[str] | None, reason: str, tenant: str, since: str, until: str, *, every: bool) -> LetterFilter:
    if not (ids or reason or tenant or since or until or every):
        raise InvalidRequestError("which letters? Give ids, a filter (--reason, --tenant, --since, --until), or --all")
    return _filter(reason, tenant, since, until, ids or [])


def _filter(reason: str, tenant: str, since: str, until: str, ids: list[str]) -> LetterFilter:
    return LetterFilter(
        reason=reason,
        tenant=tenant,
        since_us=moment_us(since) if since else 0,
        until_us=moment_us(until) if until else _FOREVER_US,
        ids=frozenset(map(LetterId.parse, ids)),
    )


def _ids(letters: Sequence[LetterId]) -> str:
    shown = ", ".join(str(one) for one in letters[:10])
    return shown if len(letters) <= 10 else f"{shown}, …"


def _desk(kafka: str) -> DeadLetterDesk:
    return DeadLetterDesk(KafkaDeadLetterStore(indexer_settings(kafka).kafka, clock=SystemClock()))


def _listing(answer: dict[str, Any]) -> list[str]:
    """The letters as lines, each with its detail beneath: what the next command needs is never cut, however narrow the terminal."""
    rows = [("id", "time (UTC)", "reason", "shop", "tries", "record")]
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
