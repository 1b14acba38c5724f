"""A new worker restores the newest snapshot and reads the rest of a real log; what cannot be restored is rebuilt from it."""

import asyncio

import httpx
import pytest

from query_api.replica.snapshots.store import SnapshotStore
from retrieval.serving.replica_status import read_status
from tests.support.kafka.clients import Record, append, create_topic
from tests.support.processes import wait_until
from tests.unit.query_api.replica.fakes import document

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def records(first: int, beyond: int) -> list[Record]:
    documents = [document(f"S{number:04d}") for number in range(first, beyond)]
    return [Record(entry.key.kafka_key, entry.to_bytes()) for entry in documents]


@pytest.mark.parametrize("damaged", [False, True])
async def test_a_new_replica_starts_from_a_whole_snapshot_and_from_the_log_without_one(
    kafka, stack_of, tmp_path, damaged
):
    stack = stack_of(kafka)
    await create_topic(kafka.bootstrap, stack.topics.documents, partitions=3)
    await append(kafka.bootstrap, stack.topics.documents, records(0, 300))
    folder = tmp_path / "snapshots"
    snapshots = {"FERROFLUX_SNAPSHOTS__URL": f"file://{folder}", "FERROFLUX_SNAPSHOTS__INTERVAL_S": "3600"}
    stack.start("replica", "first", snapshots)
    stack.wait_ready("first")
    store = SnapshotStore(f"file://{folder}")

    def taken() -> bool:
        return any(store.manifest(snapshot_id) is not None for snapshot_id in store.ids())

    wait_until(taken, timeout=30, what="the first snapshot")
    metrics = await asyncio.to_thread(httpx.get, stack.url("first", "/metrics"))
    assert "ferroflux_replica_snapshot_timestamp_seconds" in metrics.text
    if damaged:
        next(folder.glob("*/*.store")).write_bytes(b"not what was written")
    await append(kafka.bootstrap, stack.topics.documents, records(300, 340))

    text = tmp_path / "second"
    second = stack.start("replica", "second", {**snapshots, "FERROFLUX_TEXT__DIRECTORY": str(text)})
    stack.wait_ready("second")
    log = second.tail(100)
    assert ("snapshot refused" in log) == damaged, log
    assert ("snapshot restored" in log) != damaged, log
    wait_until(lambda: (read_status(text).written) == (340 if damaged else 40), timeout=20, what="the rest of the log")
    assert second.stop() == 0, second.tail()
