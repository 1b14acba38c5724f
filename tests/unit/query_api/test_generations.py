"""A worker between generations: preloaded, swapped at once, and no query sees a part of another."""

import asyncio
import threading
from pathlib import Path

import httpx
import pytest

from query_api.bootstrap import build_app
from query_api.settings import ApiSettings
from retrieval.generations import transitions
from retrieval.generations.file import FileGenerationStore
from retrieval.rerank.port import Reranker
from retrieval.serving.parts import HeldParts
from retrieval.serving.replica_status import ReplicaStatus, write_status
from retrieval.testing import HashingEncoder, OverlapReranker
from retrieval.text.tantivy_index.compatibility import current_metadata
from schemas.errors import NotReadyError
from schemas.records.generations import MAIN, EncoderChoice
from tests.contracts.generation_store_suite import manifest
from tests.support.waiting import eventually
from tests.unit.query_api.app_under_test import CATALOGUE, Stores, document, serving

pytestmark = pytest.mark.slow

OTHER = (*CATALOGUE, document("NEW", title="Tornillo nuevo"))


class Held(HashingEncoder):
    """Encodes a query when it is let; a test that fails holds it for some seconds only."""

    def __init__(self, dimension: int) -> None:
        super().__init__(dimension)
        self.asked = 0
        self.let = threading.Event()
        self.let.set()

    def encode_queries(self, texts):
        self.asked += 1
        self.let.wait(5)
        return super().encode_queries(texts)


class Two:
    """An application over two generations, whose file of generations the test moves."""

    def __init__(self, folder: Path, *, reranker: Reranker | None = None) -> None:
        text = current_metadata()
        self.folder = folder
        self.main, self.other = Stores(), Stores(OTHER)
        self.other.encoder = Held(32)
        self.store = FileGenerationStore(folder)
        self.manifest = manifest(
            "other", encoder=EncoderChoice(model="hashing"), revision=self.other.encoder.revision.id,
            text_schema=text["schema"], analyser=text["analyser"],
        )  # fmt: skip
        self.closed: list[str] = []
        settings = ApiSettings(text={"directory": folder})
        self.app = build_app(settings, held_of=self.held_of, reranker=reranker)
        opened = self.worker.parts_of

        def parts_of(generation):
            parts = opened(generation)
            if generation.name != MAIN:
                parts.close = self.close
            return parts

        self.worker.parts_of = parts_of

    def held_of(self, generation) -> HeldParts:
        stores = self.main if generation.name == MAIN else self.other
        return HeldParts(stores.vectors, stores.encoder, stores.reader, self.folder)

    async def close(self) -> None:
        self.closed.append("other")

    async def prepare(self) -> None:
        await self.main.embed()
        await self.other.embed()
        await self.store.commit(transitions.create(self.manifest, now_us=1))
        await self.store.commit(transitions.mark_prepared("other", now_us=2))

    async def promote(self, epoch: int) -> None:
        await self.store.commit(transitions.promote("other", expected_epoch=epoch, now_us=3))

    @property
    def worker(self):
        return self.app.state.context.searchers


def status_file(folder: Path) -> None:
    """What a tailer would have written for `main`."""
    write_status(folder, ReplicaStatus(log_id="l", topic="t", pid=1, started_us=1, written_us=2**60, caught_up=True))


async def found(client: httpx.AsyncClient, generation: str = "") -> tuple[str, set[str]]:
    response = await client.post(
        "/v1/search", json={"tenant": "norte", "text": "tornillo nuevo", "generation": generation}
    )
    assert response.status_code == 200, response.text
    return response.json()["generation"], {hit["item"]["sku"] for hit in response.json()["hits"]}


async def test_the_worker_loads_what_is_prepared_and_swaps_when_the_pointer_moves(tmp_path):
    two = Two(tmp_path)
    status_file(tmp_path)
    await two.main.embed()
    async with serving(two.app) as client:
        assert (await found(client))[0] == MAIN
        await two.prepare()
        await eventually(lambda: two.worker.generations == {MAIN: "", "other": ""})
        generation, skus = await found(client)
        assert (generation, "NEW" in skus) == (MAIN, False)
        generation, skus = await found(client, "other")
        assert (generation, "NEW" in skus) == ("other", True)
        assert (
            await client.post("/v1/search", json={"tenant": "norte", "text": "x", "generation": "no"})
        ).status_code == 503

        await two.promote(0)
        await eventually(lambda: two.worker.generation == "other")
        assert (await found(client))[0] == "other"
        assert (await client.get("/readyz")).json()["generation"] == "other"
        status = (await client.get("/v1/status")).json()["generation"]
        assert status == {"answering": "other", "live": "other", "loaded": {MAIN: "", "other": ""}}
        report = two.worker.report()
        assert (report.serving, report.ready) == ("other", {MAIN: "", "other": ""})


async def test_a_query_that_runs_ends_in_its_generation_which_is_closed_only_then(tmp_path):
    two = Two(tmp_path)
    status_file(tmp_path)
    await two.prepare()
    await two.promote(0)
    async with serving(two.app) as client:
        await eventually(lambda: two.worker.generation == "other" and not two.worker.waiting_for)
        asked = two.other.encoder.asked
        two.other.encoder.let.clear()
        running = asyncio.create_task(found(client))
        await eventually(lambda: two.other.encoder.asked > asked)
        await two.store.commit(transitions.roll_back(expected_epoch=1, now_us=4))
        await eventually(lambda: two.worker.generation == MAIN)
        await two.store.commit(transitions.begin_drop("other", now_us=5))
        await eventually(lambda: two.worker.generations == {MAIN: ""})
        assert (await found(client))[0] == MAIN
        assert two.closed == []
        two.other.encoder.let.set()
        generation, skus = await running
        assert (generation, "NEW" in skus) == ("other", True)
        await eventually(lambda: two.closed == ["other"])


async def test_a_worker_goes_on_with_what_it_has_until_it_has_loaded_what_is_live(tmp_path):
    two = Two(tmp_path)
    status_file(tmp_path)
    two.other.encoder.let.clear()
    await two.prepare()
    async with serving(two.app) as client:
        await two.promote(0)
        await eventually(lambda: two.worker.live == "other")
        assert (await found(client))[0] == MAIN
        assert two.worker.generations["other"]
        two.other.encoder.let.set()
        await eventually(lambda: two.worker.generation == "other")
        assert (await found(client))[0] == "other"


async def test_a_generation_of_another_version_is_refused_and_said(tmp_path):
    two = Two(tmp_path)
    status_file(tmp_path)
    two.manifest = two.manifest.model_copy(update={"analyser": "from the future"})
    await two.prepare()
    async with serving(two.app) as client:
        await eventually(lambda: "Run the version that built it" in two.worker.generations.get("other", ""))
        assert (await found(client))[0] == MAIN


async def test_a_generation_that_a_launcher_holds_reranks_as_main_does(tmp_path):
    two = Two(tmp_path, reranker=OverlapReranker())
    status_file(tmp_path)
    await two.prepare()
    async with serving(two.app) as client:
        await eventually(lambda: two.worker.generations == {MAIN: "", "other": ""})
        for generation in (MAIN, "other"):
            answer = await client.post(
                "/v1/search", json={"tenant": "norte", "text": "tornillo hexagonal", "generation": generation}
            )
            assert answer.json()["reranked"]["model"] == "overlap"


async def test_a_generation_whose_parts_are_not_there_yet_is_told_and_opened_later(tmp_path):
    two = Two(tmp_path)
    status_file(tmp_path)
    await two.prepare()
    held_of, absent = two.worker._held_of, [NotReadyError("generation other is not open")] * 3

    def late(generation):
        if generation.name != MAIN and absent:
            raise absent.pop()
        return held_of(generation)

    two.worker._held_of = late
    async with serving(two.app) as client:
        assert two.worker.generations["other"] == "generation other is not open"
        assert (await found(client))[0] == MAIN
        await eventually(lambda: two.worker.generations == {MAIN: "", "other": ""})
