"""The tailer and what it cannot read or analyse: set apart, told once, tried again; too much of it is the end."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from query_api.replica.tailing.tailer import ReplicaTailer
from retrieval.analysis.pipeline import analyse
from retrieval.serving.replica_status import read_status
from retrieval.text.port import Checkpoint
from runtime.isolation import DefectError
from runtime.retry import Backoff, BackoffPolicy
from schemas.errors import ConfigurationError, LogUnavailableError
from tests.support.waiting import eventually
from tests.unit.query_api.replica.fakes import FakeBox, FakeBroker, FakeWriter, document, key


def failing(text):
    if "poison" in text:
        raise ValueError("cannot read poison")
    return analyse(text)


class Scene:
    def __init__(self, folder):
        self.broker = FakeBroker()
        self.writer = FakeWriter(analyser=failing)
        self.box = FakeBox()
        self.folder = folder

    def tailer(self):
        return ReplicaTailer(
            self.writer,
            self.broker.connect,
            topic="catalog.documents",
            report_to=self.folder,
            backoff=Backoff(BackoffPolicy(0.001, 0.002)),
            letters=self.box,
        )

    @asynccontextmanager
    async def running(self):
        tailer = self.tailer()
        running = asyncio.create_task(tailer.run())
        yield tailer
        tailer.request_stop()
        await running

    def all_told(self):
        ledger = self.writer.set_apart().ledger
        return bool(ledger.entries) and not ledger.untold


@pytest.fixture
def scene(tmp_path):
    return Scene(tmp_path)


async def test_one_document_that_fails_is_held_without_what_fails_and_the_others_go_on(scene):
    scene.broker.append(0, document("A"))
    scene.broker.append(0, document("B", description="poison"))
    scene.broker.append(0, document("C"))
    async with scene.running() as tailer:
        await eventually(lambda: set(scene.writer.held) == {key("A"), key("B"), key("C")})
        await eventually(scene.all_told)
        await eventually(lambda: tailer.report.caught_up)
        assert tailer.not_ready is None
        assert "1 partly_indexed" in tailer.degraded["set apart"]
    (headers,) = scene.box.headers()
    assert headers["ferroflux.reason"] == "partly_indexed"
    assert headers["ferroflux.detail"] == "indexed without description: ValueError('cannot read poison')"
    assert headers["ferroflux.topic"] == "catalog.documents"
    assert (headers["ferroflux.partition"], headers["ferroflux.offset"], headers["ferroflux.timestamp"]) == (
        "0",
        "1",
        "1001",
    )
    assert (headers["ferroflux.attempt"], headers["ferroflux.tenant"]) == ("1", "acme")
    (letter,) = scene.box.letters
    assert letter.fitting(10_000)[:2] == (b"acme/B", document("B", description="poison").to_bytes())
    value = tailer.metrics.registry.get_sample_value
    assert value("ferroflux_set_apart_total", {"stage": "analyse documents", "reason": "unexpected"}) == 1
    assert value("ferroflux_set_apart_open", {"reason": "partly_indexed"}) == 1


async def test_a_restart_tells_nothing_twice(scene):
    scene.broker.append(0, document("B", description="poison"))
    scene.broker.append(0, b"no json", b"acme/X")
    async with scene.running():
        await eventually(scene.all_told)
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        assert "1 malformed_document, 1 partly_indexed" in tailer.degraded["set apart"]
    assert sorted(one["ferroflux.reason"] for one in scene.box.headers()) == ["malformed_document", "partly_indexed"]


async def test_a_crash_before_the_letter_is_sent_tells_it_after_the_restart_by_its_place(scene):
    scene.broker.append(0, document("B", description="poison"))
    scene.box.fail_with = LogUnavailableError()
    async with scene.running():
        await eventually(lambda: scene.box.tries > 0)
    scene.box.fail_with = None
    async with scene.running():
        await eventually(scene.all_told)
    (letter,) = scene.box.letters
    record = letter.fitting(10_000)
    headers = dict(record.headers)
    assert (record.key, record.value) == (b"acme/B", b"")
    assert headers["ferroflux.truncated"] == b"value,headers"
    assert (len(headers["ferroflux.digest"]), int(headers["ferroflux.size"])) == (
        64,
        len(document("B", description="poison").to_bytes()),
    )


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LogUnavailableError("Kafka at secret:9092 did not answer"), "Kafka did not answer in time"),
        (ConfigurationError("Kafka does not let us write to topic dlq"), "does not let us write to topic dlq"),
        (RuntimeError("boom"), "boom"),
    ],
)
async def test_letters_that_cannot_be_sent_hold_nothing_up_and_are_told_of_and_sent_later(scene, error, said):
    scene.box.fail_with = error
    scene.broker.append(0, document("B", description="poison"))
    async with scene.running() as tailer:
        await eventually(lambda: "dead letters" in tailer.degraded)
        assert said in tailer.degraded["dead letters"]
        assert "secret" not in tailer.degraded["dead letters"]
        scene.broker.append(0, document("C"))
        await eventually(lambda: key("C") in scene.writer.held)
        assert tailer.not_ready is None
        scene.box.fail_with = None
        await eventually(scene.all_told)
        await eventually(lambda: "dead letters" not in tailer.degraded)
    assert len(scene.box.letters) == 1


async def test_a_redriven_record_that_succeeds_is_gone_from_readiness_by_itself(scene):
    scene.broker.append(0, document("B", description="poison"))
    async with scene.running() as tailer:
        await eventually(scene.all_told)
        scene.writer._analyser = analyse
        scene.broker.append(0, document("B", description="poison"), headers=(("ferroflux.attempt", b"1"),))
        await eventually(lambda: tailer.degraded == {})
    assert len(scene.box.letters) == 1


async def test_a_redriven_record_that_fails_again_is_another_letter_with_a_higher_count(scene):
    scene.broker.append(0, document("B", description="poison"))
    async with scene.running():
        await eventually(scene.all_told)
        scene.broker.append(0, document("B", description="poison"), headers=(("ferroflux.attempt", b"1"),))
        await eventually(lambda: len(scene.box.letters) == 2)
        await eventually(scene.all_told)
    assert [one["ferroflux.attempt"] for one in scene.box.headers()] == ["1", "2"]
    assert scene.writer.set_apart().counts == {"partly_indexed": 1}


async def test_a_start_with_the_fix_mends_what_was_set_apart_without_being_asked(scene):
    scene.broker.append(0, document("B", description="poison"))
    async with scene.running():
        await eventually(scene.all_told)
    scene.writer._analyser = analyse
    async with scene.running() as tailer:
        await eventually(lambda: tailer.not_ready is None)
        assert tailer.degraded == {}


async def test_too_many_end_it_with_the_reason_before_the_commit_and_the_report_says_so(scene):
    for number in range(20):
        scene.broker.append(0, document(f"B{number}", description="poison"))
    scene.writer.commits.append(Checkpoint("log-1", {0: 0, 1: 0}))
    with pytest.raises(DefectError, match=r"analyse documents failed on 11 of 20.*cannot read poison"):
        await scene.tailer().run()
    assert scene.writer.checkpoint() == Checkpoint("log-1", {0: 0, 1: 0})
    assert scene.writer.held == {}
    status = read_status(scene.folder)
    assert "analyse documents failed on 11 of 20" in status.ended
    assert "install a version with the fix" in status.degraded["replica"]
    scene.writer._analyser = analyse
    async with scene.running():
        await eventually(lambda: len(scene.writer.held) == 20)
        await eventually(lambda: read_status(scene.folder).ended == "")


async def test_records_that_are_no_documents_are_the_senders_matter_however_many(scene):
    for number in range(200):
        scene.broker.append(0, b"no json", f"acme/S{number}".encode())
    scene.broker.append(0, document("A"))
    async with scene.running() as tailer:
        await eventually(lambda: key("A") in scene.writer.held)
        await eventually(lambda: len(scene.box.letters) == 200)
        await eventually(lambda: tailer.report.malformed == 200)


async def test_a_field_that_is_no_field_costs_the_product_that_field_only(scene):
    value = document("A", 3).to_bytes().replace(b"}", b',"prices":{"list":1e999},"attributes":{"w":null}}')
    scene.broker.append(0, value, b"acme/A")
    async with scene.running():
        await eventually(scene.all_told)
    held = scene.writer.held[key("A")]
    assert (held.rev, held.title, held.prices, held.attributes) == (3, "title A", {}, {})
    (headers,) = scene.box.headers()
    assert headers["ferroflux.detail"].startswith("indexed without attributes, prices: ")


async def test_the_report_names_the_newest_and_counts_all(scene):
    for number in range(30):
        scene.broker.append(0, b"no json", f"acme/S{number}".encode())
    async with scene.running():
        await eventually(
            lambda: (status := read_status(scene.folder)) and status.set_apart == {"malformed_document": 30}
        )
    status = read_status(scene.folder)
    assert len(status.apart) == 20
    assert (status.apart[-1].record, status.apart[-1].key) == ("0@29", "acme/S29")


async def test_two_replicas_say_the_same_of_a_record(tmp_path):
    letters = []
    broker = FakeBroker()
    broker.append(0, document("B", description="poison"))
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        scene = Scene(folder)
        scene.broker = broker
        async with scene.running():
            await eventually(scene.all_told)
        letters += scene.box.headers()
    first, second = ({name: value for name, value in one.items() if name != "ferroflux.time"} for one in letters)
    assert first == second
