"""`ferroflux up` as a user runs it: searched, changed, killed in mid-ingest again and again; nothing acknowledged is lost."""

from __future__ import annotations

import json
import random
import shutil
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.building import build_document, state_digest
from schemas.product.changes import ChangeEvent, FacetKey
from schemas.product.merge import ItemState, merge_all
from schemas.version import SourceVersion
from tests.support.processes import ManagedProcess, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TENANT = "taller"
READY = '"event": "ready"'


class Installation:
    """One data directory and the `ferroflux up` over it."""

    def __init__(self, folder: Path, more: Mapping[str, str] | None = None, *, encoder: str = "") -> None:
        """`more` of the environment; `encoder` names one of the tests' own (`tests.support.stack.process`) in place of the model."""
        self._more = {**(more or {}), "FERROFLUX_TEST_ENCODER": encoder}
        self.data = folder / "data"
        self.port = free_port()
        up = [sys.executable, "-m", "tests.support.stack.process", "cli", "up"] if encoder else command("up")
        self.process = ManagedProcess(
            "up", [*up, "--port", str(self.port), "--no-sample"], log_dir=folder / "logs", env=self.environment
        )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=60)

    @property
    def environment(self) -> dict[str, str]:
        return {"FERROFLUX_DATA_DIR": str(self.data), **self._more}

    def start(self) -> None:
        self.process.start()
        self.process.wait_for_line(READY, timeout=90)
        wait_until(self.is_ready, timeout=60, what="readiness")

    def is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def post(self, events: list[ChangeEvent], **parameters: str) -> httpx.Response:
        body = b"\n".join(map(encode_event, events))
        return self.client.post(
            "/v1/changes", content=body, headers={"content-type": "application/x-ndjson"}, params=parameters
        )

    def item(self, sku: str) -> dict[str, Any] | None:
        answer = self.client.get(f"/v1/items/{sku}", params={"tenant": TENANT})
        assert answer.status_code in {200, 404}, answer.text
        return answer.json() if answer.status_code == 200 else None


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "ferroflux.cli.main", *arguments]


@pytest.fixture
def installation(tmp_path: Path):
    made = Installation(tmp_path)
    yield made
    made.client.close()
    made.process.kill()


def event(sku: str, facet: str, version: int, fields: dict[str, Any] | None) -> ChangeEvent:
    return ChangeEvent(
        SkuKey.of(TENANT, sku), FacetKey(facet), SourceVersion.of(version), fields, changed_at_us=time.time_ns() // 1000
    )


def random_batch(rng: random.Random, version: int) -> list[ChangeEvent]:
    """Changes of a small set of products, out of order and with stale ones among them, as replays and races make them."""
    batch = []
    for _ in range(12):
        sku = f"P-{rng.randrange(40):03d}"
        at = max(1, version + rng.randrange(-30, 5))
        kind = rng.random()
        if kind < 0.35:
            batch.append(event(sku, "item", at, {"title": f"Producto {sku} tornillo {at}", "brand": "Norte"}))
        elif kind < 0.65:
            batch.append(event(sku, "price", at, {"price": float(at), "currency": "MXN"}))
        elif kind < 0.9:
            batch.append(event(sku, "stock", at, {"stock": float(rng.randrange(100))}))
        else:
            batch.append(event(sku, "item", at, None))
    return batch


class Producer(threading.Thread):
    """Posts batches until it is stopped, and remembers which were acknowledged and which may have been taken."""

    def __init__(self, installation: Installation, seed: int) -> None:
        super().__init__(daemon=True)
        self._installation = installation
        self._rng = random.Random(seed)
        self._version = seed * 1_000_000
        self.stopping = threading.Event()
        self.acknowledged: list[ChangeEvent] = []
        self.uncertain: list[ChangeEvent] = []

    def run(self) -> None:
        while not self.stopping.is_set():
            self._version += 10
            batch = random_batch(self._rng, self._version)
            try:
                answer = self._installation.post(batch)
            except httpx.TransportError:
                self.uncertain += batch
                return
            assert answer.status_code in {200, 503}, answer.text
            (self.acknowledged if answer.status_code == 200 else self.uncertain).extend(batch)


def test_a_change_is_searchable_when_the_answer_says_so(installation: Installation) -> None:
    installation.start()
    answer = installation.post(
        [
            event("T-1", "item", 1, {"title": "Tornillo hexagonal 1/4 x 1 galvanizado", "brand": "Norte"}),
            event("T-1", "price", 1, {"price": 12.5, "currency": "MXN"}),
        ],
        wait="indexed",
    )
    assert answer.status_code == 200, answer.text
    found = installation.client.get("/v1/search", params={"tenant": TENANT, "q": "tornillo hexagonal 1/4"}).json()
    assert [(hit["item"]["sku"], hit["item"]["price"]) for hit in found["hits"]] == [("T-1", 12.5)]
    assert installation.post([event("T-1", "item", 2, None)], wait="indexed").status_code == 200
    assert installation.item("T-1") is None


def test_nothing_acknowledged_is_lost_or_doubled_through_kills_in_mid_ingest(installation: Installation) -> None:
    acknowledged: list[ChangeEvent] = []
    uncertain: list[ChangeEvent] = []
    for seed in range(1, 4):
        installation.start()
        producer = Producer(installation, seed)
        producer.start()
        time.sleep(1.5 + 0.7 * seed)
        installation.process.kill()
        producer.stopping.set()
        producer.join(90)
        assert producer.acknowledged, "the system took nothing before it was killed"
        acknowledged += producer.acknowledged
        uncertain += producer.uncertain
    installation.start()
    assert_equals_oracle(installation, acknowledged, uncertain)
    installation.process.stop(timeout=90)
    assert not (installation.data / "running.json").exists(), "the stop was not clean:\n" + installation.process.tail()
    installation.start()
    assert "comparing the stores" not in installation.process.log.read_text()
    assert_equals_oracle(installation, acknowledged, uncertain)


def assert_equals_oracle(
    installation: Installation, acknowledged: list[ChangeEvent], uncertain: list[ChangeEvent]
) -> None:
    """Every product equals the merge of what was acknowledged, with some or none of what was sent but not answered.

    An unanswered batch may have been taken in part: per facet, the newest acknowledged event or a newer unanswered one.
    """
    keys = {one.key for one in acknowledged}
    alive = 0
    for key in sorted(keys):
        certain = merge_all(one for one in acknowledged if one.key == key)
        possible = _possible_states(certain, [one for one in uncertain if one.key == key])
        item = installation.item(key.sku)
        faces = [_face(key, state) for state in possible]
        assert _shown(item) in faces, f"{key}: {_shown(item)} is none of {faces}"
        alive += item is not None
    status = installation.client.get("/v1/status").json()["catalogue"]
    unknown = {one.key for one in uncertain} - keys
    assert alive <= status["documents"] <= alive + len(unknown)
    assert status["vectors"] == status["documents"], "the two stores count differently"


def _possible_states(certain: ItemState, unanswered: list[ChangeEvent]) -> list[ItemState]:
    states = {state_digest(certain): certain}
    for one in unanswered:
        for state in list(states.values()):
            merged, _ = state.merge(one)
            states[state_digest(merged)] = merged
    return list(states.values())


def _face(key: SkuKey, state: ItemState) -> tuple[Any, ...] | None:
    document = build_document(key, state, 1)
    return None if document.deleted else (document.title, document.price, document.stock)


def _shown(item: dict[str, Any] | None) -> tuple[Any, ...] | None:
    return None if item is None else (item["title"], item.get("price"), item.get("stock"))


@pytest.mark.parametrize(("lost", "emptied"), [("text", False), ("vectors", True)])
def test_a_store_that_was_lost_between_two_starts_is_whole_before_the_system_is_ready(
    installation: Installation, lost: str, emptied: bool
) -> None:
    installation.start()
    events = [event(f"L-{n}", "item", 1, {"title": f"Llave inglesa {n} pulgadas"}) for n in range(1, 31)]
    events += [event("L-1", "item", 2, None), event("L-2", "price", 2, {"price": 7.5})]
    assert installation.post(events, wait="indexed").status_code == 200
    installation.process.stop(timeout=90)
    assert not (installation.data / "running.json").exists()
    shutil.rmtree(installation.data / lost)
    if emptied:
        (installation.data / lost).mkdir()

    installation.start()
    found = installation.client.get("/v1/search", params={"tenant": TENANT, "q": "llave inglesa 2 pulgadas"}).json()
    assert found["hits"][0]["item"]["sku"] == "L-2"
    assert_equals_oracle(installation, events, [])


def test_a_second_up_over_the_same_folder_is_refused_with_a_sentence(installation: Installation) -> None:
    installation.start()
    second = ManagedProcess(
        "second",
        [*command("up"), "--port", "0", "--no-sample"],
        log_dir=installation.data.parent / "logs",
        env=installation.environment,
    )
    second.start()
    wait_until(lambda: not second.running, timeout=60, what="the refusal")
    assert second.returncode == 1
    assert f"is in use by a running `ferroflux up` (process {installation.process.pid})" in second.tail()
    assert "Traceback" not in second.tail()
    assert installation.is_ready()


def test_the_commands_find_the_running_system_by_its_folder(installation: Installation, tmp_path: Path) -> None:
    installation.start()

    def run(*arguments: str, status: int = 0) -> str:
        process = ManagedProcess(
            arguments[0], command(*arguments), log_dir=tmp_path / "logs", env=installation.environment
        )
        process.start()
        wait_until(lambda: not process.running, timeout=60, what=f"ferroflux {arguments[0]}")
        assert process.returncode == status, process.tail()
        return process.log.read_text()

    file = tmp_path / "lista.csv"
    rows = "\n".join(f"C-{n},Clavo {n} pulgadas,{n}.50,{n}" for n in range(1, 31))
    file.write_text(f"codigo,nombre,precio,existencia\n{rows}\n", encoding="utf-8")
    assert "30 rows" in run("ingest", str(file), "--tenant", TENANT)
    said = run("produce", "--tenant", TENANT, "--sku", "C-7", "--set", "price=99.5", "--wait")
    assert "visible to searches after" in said
    yesterday = str(time.time_ns() // 1_000 - 86_400_000_000)
    assert "older" in run(
        "produce", "--tenant", TENANT, "--sku", "C-7", "--set", "price=1", "--version", yesterday, status=3
    )
    assert "0 changes" in run("ingest", str(file), "--tenant", TENANT, "--sequence", yesterday, status=3)
    assert "never win" in run("ingest", str(file), "--tenant", TENANT, "--sequence", "8412", status=1)
    answer = json.loads(run("search", "clavo 7 pulgadas", "--json"))
    assert ("C-7", 99.5) in [(hit["item"]["sku"], hit["item"]["price"]) for hit in answer["hits"]]
    status = json.loads(run("status", "--json"))
    assert status["ready"]
    assert status["catalogue"]["by_tenant"] == {TENANT: 30}
    ready = installation.client.get("/indexer/readyz")
    assert (ready.status_code, sum(ready.json()["lag"].values())) == (200, 0)
    assert "ferroflux_indexer_lag" in installation.client.get("/indexer/metrics").text
