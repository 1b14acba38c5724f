"""`ferroflux produce`: one change of one product, sent by hand."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer

from ferroflux.cli.options import DataDirOption, KeyOption, SendToOption, TopicOption, UrlOption
from ferroflux.cli.use.ingest import live_target
from ferroflux.cli.use.looking import EXIT_OLDER, ForceOption, LookOption, SourceOption, gate_of
from ferroflux.http_client import ApiClient, api_key, locate
from ferroflux.ingest.convert import EncodedEvent
from ferroflux.ingest.held.gate import Gate
from ferroflux.ingest.held.verdict import Judged, Verdict
from ferroflux.ingest.held.versions import VersionRefusedError
from ferroflux.ingest.targets import ChangeTarget, HttpTarget
from runtime.clock import SYSTEM_CLOCK
from runtime.observability.logs import configure_quiet_logging
from schemas.errors import InvalidRequestError, NotFoundError, NotReadyError
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent, facet_key, facet_name
from schemas.product.fields import normalise_fields
from schemas.product.sources import DEFAULT_SOURCE, source_name
from schemas.version import SourceVersion

app = typer.Typer()

_POLL_S: Final = 0.02
_WAIT_S: Final = 30.0
_FACET_OF_FIELD: Final = {"price": "price", "currency": "price", "stock": "stock"}

_HELP: Final = """Send one change of one product.

A change is the whole row of one facet: `--set` gives all its fields. Price and stock are facets of their own, and the
facet follows from the fields where you name none, so a price can be set without knowing the title.

It is looked first what is there: a change that could not win, or whose version would win over every later change of the
source that feeds the facet, is refused with what to do. Exit code 3: it is older than what is there, which stays.

**Examples**

    ferroflux produce --tenant my-shop --sku T-100 --set title="Tornillo hexagonal 1/4 x 1" --set brand=Acme

    ferroflux produce --tenant my-shop --sku T-100 --set price=12.50 --set currency=MXN --wait

    ferroflux produce --tenant my-shop --sku T-100 --facet stock:branch-2 --set stock=40

    ferroflux produce --tenant my-shop --sku T-100 --delete
"""


@app.command(help=_HELP)
def produce(
    *,
    tenant: Annotated[str, typer.Option(help="The tenant.", show_default=False)],
    sku: Annotated[str, typer.Option(help="The product.", show_default=False)],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help='`field=value`; a value may be JSON, such as `ean=["7501"]`. May be repeated.'),
    ] = None,
    facet: Annotated[
        str, typer.Option(help="item, price or stock, with :instance where there are several.", show_default=False)
    ] = "",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the facet; the product, for the item facet.")
    ] = False,
    version: Annotated[
        int | None, typer.Option(min=0, help="The row's version; default: now, in microseconds.", show_default=False)
    ] = None,
    epoch: Annotated[int, typer.Option(min=0, help="The version's epoch.")] = 0,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until a search sees it, and say how long that took.")
    ] = False,
    kafka: SendToOption = "",
    topic: TopicOption = "",
    url: UrlOption = "",
    data_dir: DataDirOption = None,
    key: KeyOption = "",
    source: SourceOption = DEFAULT_SOURCE,
    look: LookOption = True,
    force: ForceOption = False,
) -> None:
    """Send one change of one product."""
    configure_quiet_logging()
    source_name(source)
    sequence = SYSTEM_CLOCK.now_us() if version is None else version
    event = build_event(tenant, sku, sets or [], facet, delete=delete, version=SourceVersion.of(sequence, epoch))
    base = "" if kafka else locate(url, data_dir)
    gate = (
        gate_of(kafka, base, api_key(key), source=source, option="--version", by_clock=version is None, force=force)
        if look
        else None
    )
    target, send = _target(kafka, topic, base, api_key(key), until_indexed=wait)
    visible = partial(_until_visible, url, data_dir, api_key(key), event) if wait and kafka else None
    asyncio.run(_produce(target, send, gate, event, source, wait=wait, visible=visible))


_Send = Callable[[Sequence[EncodedEvent]], Awaitable[None]]


def _target(kafka: str, topic: str, base: str, key: str, *, until_indexed: bool) -> tuple[ChangeTarget, _Send]:
    """Where the change goes, and the way to send it there; a running system answers when it is indexed, if asked to."""
    if kafka:
        cluster = live_target(kafka, topic)
        return cluster, cluster.send
    running = HttpTarget(base, api_key=key)
    return running, partial(running.send, until_indexed=until_indexed)


async def _produce(
    target: ChangeTarget,
    send: _Send,
    gate: Gate | None,
    event: ChangeEvent,
    source: str,
    *,
    wait: bool,
    visible: Callable[[], None] | None,
) -> None:
    """Look, send, wait, look again: what came in between may be newer."""
    async with AsyncExitStack() as opened:
        await opened.enter_async_context(target)
        if gate is not None:
            await opened.enter_async_context(gate.held)
        before = await _judged(gate, event)
        if before.verdict.refused:
            raise VersionRefusedError(f"not sent: {before.reason}")
        if before.verdict is Verdict.OLDER:
            _tell_older(f"not sent: {before.reason}")
        started = SYSTEM_CLOCK.monotonic()
        await send([EncodedEvent.of(event, source)])
        sent = SYSTEM_CLOCK.monotonic() - started
        already = ", which was there already" if before.verdict is Verdict.EQUAL else ""
        print(f"{event.key}: {event.facet} at version {event.version} taken in {sent * 1000:.0f} ms{already}")
        if not wait:
            return
        if visible is not None:
            await asyncio.to_thread(visible)
        after = await _judged(gate, event)
        if after.verdict in (Verdict.OLDER, Verdict.CANNOT_WIN, Verdict.FROZEN):
            _tell_older(f"taken, but without effect: {after.reason}")
        print(f"visible to searches after {(SYSTEM_CLOCK.monotonic() - started) * 1000:.0f} ms")


async def _judged(gate: Gate | None, event: ChangeEvent) -> Judged:
    return Judged(Verdict.UNKNOWN) if gate is None else (await gate.judge([event]))[0]


def _tell_older(sentence: str) -> NoReturn:
    print(f"ferroflux: {sentence}", file=sys.stderr)
    raise typer.Exit(EXIT_OLDER)


def build_event(
    tenant: str, sku: str, sets: list[str], facet: str, *, delete: bool, version: SourceVersion
) -> ChangeEvent:
    """The change event of the command line.

    Raises:
        InvalidRequestError: the options contradict each other.
        InvalidEventError: a name or a value breaks the contract.
    """
    key = SkuKey.of(tenant, sku)
    fields = dict(map(_pair, sets))
    if delete and fields:
        raise InvalidRequestError("--delete takes no --set: a deleted row has no fields")
    if not delete and not fields:
        raise InvalidRequestError("nothing to send: give --set field=value, or --delete")
    chosen = facet_key(facet) if facet else facet_key(_facet_of(fields))
    normal = None if delete else normalise_fields(facet_name(chosen), fields)
    return ChangeEvent(key, chosen, version, normal, changed_at_us=SYSTEM_CLOCK.now_us())


def _pair(raw: str) -> tuple[str, Any]:
    name, equals, value = raw.partition("=")
    if not equals:
        raise InvalidRequestError(f"--set {raw!r} is not of the form field=value")
    if value[:1] in "[{":
        try:
            return name.strip(), orjson.loads(value)
        except orjson.JSONDecodeError as error:
            raise InvalidRequestError(f"--set {name}: {value[:40]!r} begins like JSON but is none: {error}") from error
    return name.strip(), value


def _facet_of(fields: dict[str, Any]) -> str:
    facets = {_FACET_OF_FIELD.get(name, ITEM_FACET) for name in fields}
    if len(facets) > 1:
        names = ", ".join(sorted(facets))
        raise InvalidRequestError(
            f"these fields belong to several facets ({names}): send each by itself, or name one with --facet "
            "(the item facet takes all of them, where one table holds them all)"
        )
    return facets.pop() if facets else ITEM_FACET


def _until_visible(url: str, data_dir: Path | None, key: str, event: ChangeEvent) -> None:
    """Wait until the API's view of the product is as new as the change: by its own time of change."""
    deadline = SYSTEM_CLOCK.monotonic() + _WAIT_S
    with ApiClient(locate(url, data_dir), key=key) as client:
        while SYSTEM_CLOCK.monotonic() < deadline:
            if _is_visible(client, event):
                return
            time.sleep(_POLL_S)
    raise NotReadyError(
        f"the change is in Kafka, but no search saw it within {_WAIT_S:.0f} s: `ferroflux status` shows the lag"
    )


def _is_visible(client: ApiClient, event: ChangeEvent) -> bool:
    deleted = event.is_delete and event.facet == ITEM_FACET
    try:
        item = client.get(f"/v1/items/{event.key.sku}", tenant=event.key.tenant)
    except NotFoundError:
        return deleted
    return not deleted and _changed_us(item) >= event.changed_at_us


def _changed_us(item: dict[str, Any]) -> int:
    changed_at = item.get("changed_at")
    if not changed_at:
        return 0
    elapsed = datetime.fromisoformat(changed_at) - datetime(1970, 1, 1, tzinfo=UTC)
    return elapsed // timedelta(microseconds=1)
