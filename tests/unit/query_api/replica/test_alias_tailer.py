"""The alias tailer and the workers' watch: from the topic to a live table."""

import asyncio
import re
from contextlib import asynccontextmanager

import pytest

from query_api.replica.tailing.aliases import AliasTailer
from retrieval.aliases import compiled
from retrieval.aliases.file import AliasFile, AliasWatch
from retrieval.aliases.live import LiveAliases
from runtime.isolation import DefectError
from runtime.retry import Backoff, BackoffPolicy
from schemas.records.aliases import AliasKind, AliasRecord
from tests.unit.query_api.replica.fakes import FakeBox, FakeBroker


def entry(name: str, version: int = 1, *terms: str) -> AliasRecord:
    return AliasRecord(
        tenant="acme", id=name, version=version, kind=AliasKind.SYNONYM, terms=terms or ("broca", "mecha")
    )


def send(broker: FakeBroker, key: str, record: AliasRecord | None) -> None:
    broker.append(0, None if record is None else record.to_bytes(), key.encode())


@asynccontextmanager
async def tailing(file, broker, letters=None):
    backoff = Backoff(BackoffPolicy(0.001, 0.001))
    tailer = AliasTailer(file, broker.connect, backoff=backoff, topic="catalog.aliases", letters=letters)
    running = asyncio.create_task(tailer.run())
    try:
        yield tailer
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


@pytest.fixture
def pathological(monkeypatch):
    """An expression that the analysis cannot take; removing `fault` mends it."""
    fault = {"boom"}
    sound = compiled.analyse

    def failing(text):
        if fault & set(text.split()):
            raise re.error("pathological")
        return sound(text)

    monkeypatch.setattr(compiled, "analyse", failing)
    compiled.phrase_of.cache.clear()
    return fault


async def test_what_is_no_entry_or_does_not_compile_is_told_once_and_the_others_go_on(tmp_path, pathological):
    broker, file, box = FakeBroker(), AliasFile(tmp_path), FakeBox()
    send(broker, "acme/bad", entry("bad"))
    send(broker, "acme/bad", entry("bad", 2, "boom", "bang"))
    broker.append(0, b"no json", b"acme/x")
    send(broker, "acme/good", entry("good"))
    async with tailing(file, broker, box) as tailer:
        await until(lambda: len(box.letters) == 2)
        await until(lambda: not tailer._apart.ledger.untold)
        assert tailer.degraded["aliases"].startswith("2 unusable_alias")
    # Of the entry that does not compile, the version before is not what the operator wants any more.
    assert file.read() == (entry("good"),)
    assert {(one["ferroflux.reason"], one["ferroflux.topic"], one["ferroflux.offset"]) for one in box.headers()} == {
        ("unusable_alias", "catalog.aliases", "1"),
        ("unusable_alias", "catalog.aliases", "2"),
    }
    async with tailing(file, broker, box) as tailer:
        await until(lambda: tailer.degraded)
        send(broker, "acme/last", entry("last"))
        await until(lambda: len(file.read()) == 2)
    assert len(box.letters) == 2


async def test_after_a_fix_a_restart_takes_the_entry_in_by_itself(tmp_path, pathological):
    broker, file, box = FakeBroker(), AliasFile(tmp_path), FakeBox()
    send(broker, "acme/bad", entry("bad", 1, "boom", "bang"))
    async with tailing(file, broker, box) as tailer:
        await until(lambda: box.letters and not tailer._apart.ledger.untold)
    pathological.clear()
    async with tailing(file, broker, box) as tailer:
        await until(file.read)
        await until(lambda: not tailer.degraded)


async def test_too_many_that_do_not_compile_end_it_and_leave_the_file(tmp_path, pathological):
    broker, file = FakeBroker(), AliasFile(tmp_path)
    file.write([entry("old")])
    for number in range(30):
        send(broker, f"acme/e{number}", entry(f"e{number}", 1, "boom", "bang"))
    tailer = AliasTailer(file, broker.connect, backoff=Backoff(BackoffPolicy(0.001, 0.001)))
    with pytest.raises(DefectError, match="read alias entries failed on 11 of 30"):
        await tailer.run()
    assert file.read() == (entry("old"),)


def test_a_worker_leaves_out_the_entry_that_it_cannot_compile_and_no_other(pathological):
    live = LiveAliases()
    bad, good = entry("bad", 1, "boom", "bang"), entry("good")
    live.replace([bad, good])
    assert live.of("acme").knows("broc")
    assert list(live.set_apart) == ["acme/bad"]
    live.replace([good])
    live.of("acme")
    assert live.set_apart == {}


def test_a_line_of_the_file_that_fails_in_any_way_is_passed_over(tmp_path, monkeypatch):
    file = AliasFile(tmp_path)
    file.write([entry("one"), entry("two")])
    sound = AliasRecord.from_record

    def failing(key, value):
        if b"one" in key:
            raise RecursionError
        return sound(key, value)

    monkeypatch.setattr(AliasRecord, "from_record", failing)
    assert [record.id for record in file.read()] == ["two"]
