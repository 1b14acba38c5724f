"""The runbook's commands (docs/how-to/operations.md), as they are shown there, against a running installation on Kafka."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.version import SourceVersion
from tests.support.kafka.clients import Record, append, end_offsets
from tests.support.processes import wait_until
from tests.support.stack.histories import event_record
from tests.support.stack.operator import Operator
from tests.support.stack.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

CATALOGUE = "sku,title,brand,price,stock\nA-1,Broca concreto 1/4,Truper,10.5,5\nA-2,Martillo 16 oz,Pretul,99,3\n"


def installation(kafka, stack_of: Callable[..., Stack], folder: Path) -> tuple[Stack, Operator]:
    """Indexer, replica and API, and somebody at their machine, with their settings in the environment."""
    stack = stack_of(kafka)
    for name in ("indexer", "replica", "api"):
        stack.start(name)
    stack.wait_ready("indexer", "replica", "api")
    (folder / "catalogue.csv").write_text(CATALOGUE, encoding="utf-8")
    snapshots = {"FERROFLUX_SNAPSHOTS__URL": f"file://{folder}/snapshots", "FERROFLUX_DATA_DIR": str(folder / "data")}
    return stack, Operator(folder, {**stack.environment, **snapshots})


async def test_every_lever_works_as_the_runbook_shows_it(kafka, stack_of, tmp_path):
    stack, operator = installation(kafka, stack_of, tmp_path)
    on_kafka, changes = f"--kafka {kafka.bootstrap}", stack.topics.changes[0]

    said = await operator.types(f"ingest catalogue.csv --tenant my-shop {on_kafka}")
    assert "2 rows" in said
    assert "not looked" not in said
    gone = ChangeEvent(SkuKey.of("my-shop", "A-9"), ITEM_FACET, SourceVersion(0, 2), None)
    await append(kafka.bootstrap, changes, [event_record(gone), Record(b"my-shop/X", b"{broken"), Record(b"k", b"[]")])
    await bulk_done(stack)
    await stack.settled()
    counted = f"ingest catalogue.csv --tenant my-shop --sequence 8412 {on_kafka}"
    assert "never win" in await operator.types(counted, status=1)

    # Dead letters
    listed = json.loads(await operator.types(f"dlq list --since 2h --json {on_kafka}"))
    assert listed["open"] == 2
    one = listed["letters"][0]
    assert one["id"] in await operator.types(f"dlq list --reason {one['reason']} {on_kafka}")
    assert json.loads(await operator.types(f"dlq show {one['id']} {on_kafka}"))["reason"] == one["reason"]
    assert "1 redriven" in await operator.types(f"dlq redrive {one['id']} {on_kafka}")
    await asyncio.to_thread(no_lag, stack)
    again = json.loads(await operator.types(f"dlq list --json {on_kafka}"))
    assert sorted(letter["attempt"] for letter in again["letters"]) == [1, 2]
    assert "left: tried 2 times" in await operator.types(
        f"dlq redrive --reason {one['reason']} --max-attempts 2 {on_kafka}"
    )
    assert "2 discarded" in await operator.types(f"dlq discard --until 2100-01-01 {on_kafka}")
    assert "0 open" in await operator.types(f"dlq list {on_kafka}")
    assert "no dead letter 0-999" in await operator.types(f"dlq show 0-999 {on_kafka}", status=1)

    # Replay
    assert "0 would be applied" in await operator.types(f"replay --since 2h {on_kafka}")
    assert "0 events" in await operator.types(f"replay {on_kafka} --offsets {changes}/3:1042-2000")
    assert "2 found merged already" in await operator.types(
        f"replay --tenant my-shop --facet price --since 2h --rate 500 --yes {on_kafka}"
    )

    # Tombstones: within the reach of a replay, so counted and kept
    assert "1 tombstone;" in await operator.types(f"gc {on_kafka} --older-than 30d")
    assert "0 removed" in await operator.types(f"gc {on_kafka} --older-than 30d --yes")

    # Reconcile
    for source in ("log", "catalogue.csv --tenant my-shop", "stores"):
        said = await operator.types(f"reconcile --source {source}")
        assert json.loads(said.strip().splitlines()[-1])["agree"], said
    (tmp_path / "catalogue.csv").write_text(CATALOGUE.replace(",99,", ",88,"), encoding="utf-8")
    said = await operator.types("reconcile --source catalogue.csv --tenant my-shop", status=1)
    assert json.loads(said.strip().splitlines()[-1])["differences"] == {"different": 1}, said
    said = await operator.types("reconcile --source catalogue.csv --tenant my-shop --repair")
    assert json.loads(said.strip().splitlines()[-1])["events_sent"] == 1, said

    # Snapshots
    assert "products" in await operator.types("snapshot create --keep 3")
    assert "fits" in await operator.types("snapshot list")
    assert "whole" in await operator.types("snapshot verify")
    assert "holds a text index already" in await operator.types("snapshot restore", status=78)

    # Freshness
    url = stack.url("api")
    assert "p99" in await operator.types(f"probe {on_kafka} --url {url} --count 2 --fail-above 60s")
    assert "ready" in await operator.types(f"status --url {url}")


def no_lag(stack: Stack) -> None:
    """Wait until the indexer says that nothing is left; the marker of a redrive's transaction is nothing."""
    wait_until(
        lambda: not sum(httpx.get(stack.url("indexer", "/readyz"), timeout=5).json()["lag"].values()),
        timeout=60,
        what="the lag to fall",
    )


async def bulk_done(stack: Stack) -> None:
    """Wait until the load of `ingest` is indexed, which comes by the bulk topic."""
    async with asyncio.timeout(60):
        while not await end_offsets(stack.kafka.bootstrap, stack.topics.bulk):  # noqa: ASYNC110 - a process is waited for
            await asyncio.sleep(0.2)
        while stack.text_index().counts().alive < 2:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.2)
