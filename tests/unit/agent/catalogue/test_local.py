"""The agent's catalogue in its own process: it answers from the live generation, and follows the pointer."""

from contextlib import AsyncExitStack

import pytest
from prometheus_client import CollectorRegistry

import retrieval.serving.parts
from agent.catalogue.answers import uncounted
from agent.catalogue.opening import open_catalogue
from agent.errors import CatalogueUnavailableError
from agent.settings import AgentSettings
from retrieval.generations import transitions
from retrieval.generations.fitting import text_folder
from runtime.observability.metrics import TaskMetrics
from runtime.supervision import Supervisor
from schemas.identity import TenantId
from tests.support.waiting import eventually
from tests.unit.query_api.test_generations import Two, status_file

pytestmark = pytest.mark.slow

NORTE = TenantId("norte")


@pytest.fixture
async def two(tmp_path, monkeypatch):
    """Two generations as a search API and its replica leave them on a machine; `main` is live."""
    made = Two(tmp_path)
    await made.prepare()
    other = text_folder(tmp_path, made.manifest)
    other.mkdir(parents=True)
    for folder in (tmp_path, other):
        status_file(folder)

    async def open_vectors(settings):
        return (made.other if settings.collection == made.manifest.collection else made.main).vectors

    parts = retrieval.serving.parts
    monkeypatch.setattr(parts, "open_vector_index", open_vectors)
    monkeypatch.setattr(
        parts, "load_encoder", lambda chosen: (made.other if chosen.model == "hashing" else made.main).encoder
    )
    monkeypatch.setattr(
        parts, "open_reader", lambda text: (made.other if text.directory == other else made.main).reader
    )
    return made


@pytest.fixture
async def opened(two, tmp_path):
    supervisor = Supervisor(TaskMetrics(CollectorRegistry()))
    settings = AgentSettings(
        agent={"catalogue": {"kind": "local"}}, vectors={"kind": "qdrant"}, text={"directory": tmp_path},
        search={"deadline_s": 30, "hydration_deadline_s": 30},
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        yield await open_catalogue(settings, stack, supervisor, counted=uncounted)
        await supervisor.stop()


async def test_the_catalogue_answers_from_the_live_generation(two, opened):
    assert await opened.items(NORTE, ["NEW"]) == {}
    await two.promote(0)

    async def follows() -> bool:
        return "NEW" in await opened.items(NORTE, ["NEW"])

    for _ in range(1000):
        if await follows():
            break
    found = await opened.find(NORTE, "tornillo nuevo", limit=5)
    assert "NEW" in {hit.product.sku for hit in found.products}
    assert "nuevo" in await opened.vocabulary(NORTE, "nuevo", limit=5)

    await two.store.commit(transitions.roll_back(expected_epoch=1, now_us=4))
    while await follows():
        pass
    assert "NEW" not in {hit.product.sku for hit in (await opened.find(NORTE, "tornillo nuevo", limit=5)).products}


async def test_what_is_not_open_is_told_and_waited_for(two, tmp_path, monkeypatch):
    (tmp_path / "replica-status.json").unlink()
    monkeypatch.setattr("agent.catalogue.opening._OPENED_WITHIN_S", 0.05)
    supervisor = Supervisor(TaskMetrics(CollectorRegistry()))
    settings = AgentSettings(
        agent={"catalogue": {"kind": "local"}}, vectors={"kind": "qdrant"}, text={"directory": tmp_path}
    )
    async with AsyncExitStack() as stack:
        catalogue = await open_catalogue(settings, stack, supervisor, counted=uncounted)
        await eventually(lambda: "no tailer has reported yet" in supervisor.waiting.get("open-catalogue", ""))
        with pytest.raises(CatalogueUnavailableError):
            await catalogue.items(NORTE, ["TOR-M8"])
        status_file(tmp_path)
        await eventually(lambda: not supervisor.waiting, timeout=20)
        assert set(await catalogue.items(NORTE, ["TOR-M8"])) == {"TOR-M8"}
        await supervisor.stop()
