"""The alias tailer and the workers' watch: from the topic to a live table."""

import asyncio
from contextlib import asynccontextmanager

from query_api.aliases.tailer import AliasTailer
from query_api.aliases.watch import AliasWatch
from retrieval.aliases.file import AliasFile
from retrieval.aliases.live import LiveAliases
from runtime.backoff import Backoff, BackoffPolicy
from schemas.aliases import AliasKind, AliasRecord
from tests.unit.query_api.replica.fakes import FakeBroker


def entry(name: str, version: int = 1, *terms: str) -> AliasRecord:
    return AliasRecord(
        tenant="acme", id=name, version=version, kind=AliasKind.SYNONYM, terms=terms or ("broca", "mecha")
    )


def send(broker: FakeBroker, key: str, record: AliasRecord | None) -> None:
    broker.append(0, None if record is None else record.to_bytes(), key.encode())


@asynccontextmanager
async def tailing(file, broker):
    tailer = AliasTailer(file, broker.connect, backoff=Backoff(BackoffPolicy(0.001, 0.001)))
    running = asyncio.create_task(tailer.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running})


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is a file, which signals nothing
            await asyncio.sleep(0.002)


async def test_entries_reach_the_file_and_the_watching_worker(tmp_path):
    broker, file, live = FakeBroker(), AliasFile(tmp_path), LiveAliases()
    watch = AliasWatch(file, live)
    assert not watch.look()
    async with tailing(file, broker):
        send(broker, "acme/drill", entry("drill"))
        await until(watch.look)
        assert live.records("acme") == (entry("drill"),)
        assert not watch.look()
        send(broker, "acme/drill", entry("drill", 2, "broca", "barrena"))
        await until(watch.look)
        assert live.records("acme")[0].terms == ("broca", "barrena")
        send(broker, "acme/drill", None)
        await until(watch.look)
        assert live.records("acme") == ()


async def test_a_broken_record_is_passed_over(tmp_path):
    broker, file = FakeBroker(), AliasFile(tmp_path)
    broker.append(0, b"no json", b"acme/x")
    send(broker, "acme/other-key", entry("drill"))
    send(broker, "acme/good", entry("good"))
    async with tailing(file, broker):
        await until(file.read)
    assert file.read() == (entry("good"),)


async def test_what_a_broker_has_lost_stays(tmp_path):
    file = AliasFile(tmp_path)
    file.write([entry("old")])
    broker = FakeBroker(log_id="another")
    send(broker, "acme/new", entry("new"))
    async with tailing(file, broker):
        await until(lambda: len(file.read()) == 2)
    assert {record.id for record in file.read()} == {"old", "new"}


async def test_a_broker_that_is_away_is_waited_for(tmp_path):
    file, broker = AliasFile(tmp_path), FakeBroker(down=True)
    send(broker, "acme/drill", entry("drill"))
    async with tailing(file, broker):
        await until(lambda: broker.opened > 1)
        broker.down = False
        await until(file.read)


def test_a_worker_without_a_replica_folder_uses_the_shipped_table():
    assert not AliasWatch(None, LiveAliases()).look()
