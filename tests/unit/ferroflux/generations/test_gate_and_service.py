"""The gate's objections, and the service's commands on records in memory."""

import pytest

from ferroflux.operations.building import chosen_encoder
from ferroflux.operations.generations.gate import HEARD_OF_US, Evidence, JudgedFigures, Limits, objections
from ferroflux.operations.generations.service import GenerationService
from retrieval.encoders.settings import EncoderSettings, LayerPrecision
from retrieval.generations import transitions
from retrieval.generations.port import MemoryGenerationStore
from retrieval.generations.view import GateFailedError, GenerationRefusedError, view_of
from retrieval.vectors.port import VectorCounts
from schemas.errors import ConfigurationError
from schemas.records.generations import MAIN, GenerationStage, ReplicaReport, WorkerReport
from tests.contracts.generation_store_suite import manifest, prepared
from tests.support.indexing.fakes import FakeClock

NOW_US = 1_000_000_000
EQUAL = JudgedFigures(
    100, {"ndcg@10": 0.8, "recall@100": 0.9}, {"ndcg@10": 0.0, "recall@100": 0.0}, {"ndcg@10": 1.0, "recall@100": 1.0}
)


def worse(metric: str, by: float) -> JudgedFigures:
    return JudgedFigures(EQUAL.queries, EQUAL.live, {**EQUAL.difference, metric: -by}, EQUAL.p_value)


def report(ready: str = "", *, worker: str = "", name: str = "host-1", serving: str = MAIN, **fields) -> ReplicaReport:
    workers = (WorkerReport(worker="7", serving=serving, ready={MAIN: "", "a": worker}),)
    made = {"text_schema": "2", "analyser": "1", "written_us": NOW_US, "workers": workers}
    return ReplicaReport(replica=name, ready={MAIN: "", "a": ready}, **(made | fields))


async def evidence(**changes) -> Evidence:
    store = MemoryGenerationStore()
    await prepared(store, "a")
    found = {
        "view": view_of(await store.records()),
        "live": VectorCounts(10_000, 5, {"text": 10_000}),
        "candidate": VectorCounts(10_000, 5, {"text": 10_000}),
        "lag": 0,
        "reports": [report()],
        "judged": EQUAL,
        "now_us": NOW_US,
    }
    return Evidence(**(found | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"candidate": VectorCounts(9_980, 5, {"text": 9_980})}, "9,980 living products, the live generation 10,000"),
        ({"candidate": VectorCounts(10_000, 5, {"text": 9_999})}, "1 of its products have no vector"),
        ({"lag": 1_001}, "1,001 records behind"),
        ({"judged": None}, "give --judged FILE"),
        ({"judged": worse("ndcg@10", 0.02)}, "ndcg@10 is 0.0200 lower"),
        ({"judged": worse("recall@100", 0.02)}, "recall@100 is 0.0200 lower"),
        ({"reports": []}, "no text replica of its version"),
        ({"reports": [report(written_us=NOW_US - HEARD_OF_US - 1)]}, "no text replica of its version"),
        ({"reports": [report(analyser="0")]}, "no text replica of its version"),
        ({"reports": [report(workers=())]}, "no search worker has reported"),
        ({"reports": [report("catching up: 7 records")]}, "replica host-1 is not ready: catching up: 7 records"),
        ({"reports": [report(worker="the encoder is being loaded")]}, "worker 7 beside replica host-1 is not ready"),
    ],
)
async def test_each_objection_is_a_sentence_with_its_remedy(changes, said):
    (objection,) = objections("a", await evidence(**changes), Limits())
    assert said in objection


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"judged": worse("ndcg@10", 0.01)},
        {"candidate": VectorCounts(9_991, 0, {"text": 9_991}), "lag": 1_000},
        # A host of the version before goes on with the generation before until it is replaced.
        {"reports": [report(), report("needs analyser 1", name="old", analyser="0")]},
        # One that has not been heard of for a minute is gone.
        {"reports": [report(), report("catching up", name="gone", written_us=0)]},
    ],
)
async def test_what_is_within_the_limits_passes(changes):
    assert objections("a", await evidence(**changes), Limits()) == []


class Facts:
    """Figures that a test sets."""

    def __init__(self):
        self.behind = 0
        self.indexers = 0
        self.removed = []

    async def counts(self, manifest):
        return VectorCounts(10, 0, {"text": 10})

    async def lag(self, manifest):
        return self.behind

    async def followers(self, manifest):
        return self.indexers

    async def remove(self, manifest):
        self.removed.append(manifest.name)


class Clock(FakeClock):
    def now_us(self) -> int:
        return NOW_US


async def service_over(*reports: ReplicaReport):
    store, facts = MemoryGenerationStore(), Facts()
    await prepared(store, "a")
    for one in reports:
        await store.report(one)
    return GenerationService(store, facts, Clock()), store, facts


async def test_the_gate_refuses_and_a_reason_overrules_it_and_is_recorded():
    service, store, _ = await service_over(report())
    with pytest.raises(GateFailedError, match="give --judged FILE"):
        await service.promote("a", None)
    assert view_of(await store.records()).live == MAIN
    moved = await service.promote("a", None, force="the shop has no judged queries")
    assert (moved.live, moved.pointer.forced) == ("a", "the shop has no judged queries")
    assert (await service.status())["forced"] == "the shop has no judged queries"


async def test_a_reason_is_recorded_only_where_it_was_needed():
    service, _, _ = await service_over(report())
    moved = await service.promote("a", EQUAL, force="just in case")
    assert moved.pointer.forced == ""
    assert (await service.roll_back()).live == MAIN


async def test_a_generation_that_somebody_answers_from_or_that_owes_dead_letters_is_not_dropped():
    service, store, facts = await service_over(report(serving=MAIN))
    await service.promote("a", EQUAL)
    with pytest.raises(GenerationRefusedError, match="1 workers still answer from main"):
        await service.drop(MAIN)
    await store.report(ReplicaReport(replica="host-1", ready={"a": ""}, written_us=NOW_US))
    facts.behind = 5
    with pytest.raises(GenerationRefusedError, match="5 records behind"):
        await service.drop(MAIN)
    assert facts.removed == []
    facts.behind = 0
    await service.drop(MAIN)
    assert facts.removed == [MAIN]
    assert view_of(await store.records()).stage(MAIN) is GenerationStage.DROPPED


async def test_followed_counts_the_workers_that_have_gone_over():
    service, store, _ = await service_over(report(serving="a"), report(serving=MAIN, name="host-2"))
    assert await service.followed("a", timeout_s=0) == (1, 2)
    await store.report(report(serving="a", name="host-2"))
    assert await service.followed("a", timeout_s=0) == (2, 2)


async def test_a_build_can_be_looked_at_while_it_goes_on():
    service, store, _ = await service_over()
    await store.commit(transitions.create(manifest("b", created_us=9), now_us=1))
    found = {one["name"]: one["stage"] for one in (await service.status())["generations"]}
    assert found == {MAIN: "prepared", "a": "prepared", "b": "building"}
    with pytest.raises(GateFailedError, match="not prepared"):
        await service.promote("b", EQUAL)
    with pytest.raises(GenerationRefusedError, match="no generation c"):
        await service.promote("c", EQUAL, force="x")


def test_the_encoder_is_chosen_by_name_and_by_settings():
    chosen = chosen_encoder(EncoderSettings(), "m", ["query_prompt=q: ", "layers=int8", "sparse.model=/s"])
    assert (chosen.model, chosen.query_prompt, chosen.layers) == ("m", "q: ", LayerPrecision.INT8)
    assert chosen.sparse.model == "/s"
    assert chosen_encoder(EncoderSettings(), "", []) == EncoderSettings()
    for wrong in ("nothing", "no_such=1", "sparse.no=1", "a.b=1", "layers=int3"):
        with pytest.raises(ConfigurationError, match="--set"):
            chosen_encoder(EncoderSettings(), "", [wrong])
