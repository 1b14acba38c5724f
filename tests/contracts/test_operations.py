"""The port `Operations`, directly and over HTTP: the same requests get the same answers, and the same refusals."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from ferroflux.operations.building import CallersModels
from ferroflux.operations.direct import DirectOperations
from ferroflux.operations.generations.service import GenerationService
from ferroflux.operations.over_http import HttpOperations
from ferroflux.operations.port import (
    BuildBody,
    HandoverRequest,
    Json,
    JudgedBody,
    Letters,
    OnProgress,
    Replay,
    ResetRequest,
    TombstoneGcRequest,
)
from ferroflux.operations.routes import operations_router
from indexer.deadletters.file import DeadLetterFile, FileDeadLetterStore, KeptDeadLetterSink
from indexer.deadletters.letter import Letter, LetterId
from indexer.deadletters.service import DeadLetterService
from indexer.records import DeadLetter, InboundRecord
from indexer.sources.file import FileSourceStore
from indexer.sources.service import SourceService
from retrieval.encoders.settings import EncoderSettings
from retrieval.generations.port import MemoryGenerationStore
from retrieval.vectors.port import VectorCounts
from runtime.clock import SYSTEM_CLOCK
from runtime.http.problems import install_problem_handlers
from runtime.rights.keys import Access
from schemas.errors import FerrofluxError
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import parse_mapping
from tests.contracts.generation_store_suite import prepared
from tests.support.indexing.fakes import DeadLetterLog, FakeClock
from tests.support.processes import free_port, wait_until

BAD = InboundRecord("changes", 0, 7, 1_700_000_000_000, b"acme/A1", b"\xff\x00")


class Facts:
    """Generations that hold ten products each and are followed by nobody."""

    async def counts(self, _manifest: object) -> VectorCounts:
        return VectorCounts(10, 0, {"text": 10})

    async def lag(self, _manifest: object) -> int:
        return 0

    async def followers(self, _manifest: object) -> int:
        return 0

    async def remove(self, _manifest: object) -> None:
        return None


class Installation(DirectOperations):
    """Files, memory, and long work that only counts."""

    sources: Any = None
    dead_letters: Any = None
    generation_service: Any = None

    def __init__(self, folder: Path, file: DeadLetterFile, clock: FakeClock) -> None:
        self.sent: list[Letter] = []
        self.file = file
        self.clock = clock
        self.dead_letters = DeadLetterService(
            FileDeadLetterStore(self.file, self._again, clock=clock, find_original=_none)
        )
        store = FileSourceStore(folder / "sources.json", SYSTEM_CLOCK)
        declared = compile_mapping(parse_mapping("facets: [{facet: stock, fed_by: warehouse}]")).declared
        self.sources = SourceService(store, declared)
        self.records = MemoryGenerationStore()
        self.generation_service = GenerationService(self.records, Facts(), clock)

    async def prepare(self) -> None:
        await prepared(self.records, "a")
        sink = KeptDeadLetterSink(self.file, DeadLetterLog(), clock=self.clock)
        await sink.send([DeadLetter(BAD, "unparsable", "a sentence", "acme", 1)])

    async def _again(self, letters: Any) -> None:
        self.sent += letters

    async def replay(self, asked: Replay, on_progress: OnProgress) -> Json:
        on_progress({"fraction": 0.5})
        return {"read": 3, "selection": asked.to_selection().to_json()}

    async def tombstone_gc(self, asked: TombstoneGcRequest) -> Json:
        return {"due": int(asked.older_than_s), "applied": asked.apply}

    async def build(self, asked: BuildBody, on_progress: OnProgress) -> Json:
        on_progress({"fraction": 1.0})
        return {"name": asked.name, "origin": asked.origin, "take_over": asked.take_over}


async def _none(_letter: object) -> None:
    return None


@pytest.fixture(params=["direct", "http"])
async def installation(request, tmp_path: Path) -> Any:
    clock = FakeClock()
    file = await DeadLetterFile.open(tmp_path / "dead.db", "dlq", clock=clock)
    direct = Installation(tmp_path, file, clock)
    await direct.prepare()
    if request.param == "direct":
        yield direct, direct
        await file.close()
        return
    app = FastAPI()
    app.state.access = Access({})
    install_problem_handlers(app)
    app.include_router(operations_router(direct, CallersModels(EncoderSettings())))
    with served(app) as url:
        yield HttpOperations(url), direct
    await file.close()


class served:  # noqa: N801 - reads as the context that it is
    """An application on a port of this machine, on a thread of its own."""

    def __init__(self, app: FastAPI) -> None:
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        self._server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None))
        self._thread = threading.Thread(target=self._server.run, daemon=True)

    def __enter__(self) -> str:
        self._thread.start()
        wait_until(lambda: self._server.started, timeout=20, what="the server")
        return self._url

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(20)


async def test_letters_are_listed_shown_and_redriven_once(installation) -> None:
    operations, direct = installation
    found = await operations.letters(Letters(reason="unparsable"), 10)
    assert (found["open"], found["letters"][0]["reason"]) == (1, "unparsable")
    shown = await operations.letter(LetterId.parse(found["letters"][0]["id"]))
    assert shown["tenant"] == "acme"
    done = await operations.redrive(Letters(ids=(found["letters"][0]["id"],)))
    assert (done["settled"], done["gone"], done["refused"]) == (1, [], [])
    assert [letter.original.value for letter in direct.sent] == [BAD.value]
    assert (await operations.discard(Letters()))["settled"] == 0
    assert (await operations.letters(Letters(), 10))["open"] == 0


async def test_what_is_not_there_is_refused_with_its_sentence(installation) -> None:
    operations, _ = installation
    with pytest.raises(FerrofluxError, match="9-9"):
        await operations.letter(LetterId.parse("9-9"))
    with pytest.raises(FerrofluxError, match="no generation b"):
        await operations.objections("b", JudgedBody())
    with pytest.raises(FerrofluxError, match="judged"):
        await operations.promote("a", JudgedBody(judged={"queries": 1}))


async def test_long_work_tells_of_its_progress_and_answers(installation) -> None:
    operations, _ = installation
    told: list[Json] = []
    counts = await operations.replay(Replay(tenant="acme", skus=("A1",), records_per_s=5), told.append)
    assert (counts["read"], counts["selection"]["skus"]) == (3, ["A1"])
    built = await operations.build(BuildBody(name="next", take_over=False), told.append)
    assert (built["name"], built["take_over"]) == ("next", False)
    assert (await operations.tombstone_gc(TombstoneGcRequest(older_than_s=60, apply=True))) == {
        "due": 60,
        "applied": True,
    }


async def test_facets_are_listed_handed_over_and_reset(installation) -> None:
    operations, _ = installation
    shown = await operations.hand_over(HandoverRequest(tenant="acme", facet="price", to="erp"))
    assert (shown["applied"], (await operations.facets(""))["facets"]) == (False, [])
    await operations.hand_over(HandoverRequest(tenant="acme", facet="price", to="erp", apply=True))
    await operations.reset(ResetRequest(tenant="acme", facet="stock:norte", note="clock", apply=True))
    assert {one["facet"]: one["source"] for one in (await operations.facets("acme"))["facets"]} == {
        "price": "erp",
        "stock:norte": "warehouse",
    }


async def test_generations_are_shown_gated_forced_rolled_back_and_dropped(installation, monkeypatch) -> None:
    monkeypatch.setattr("ferroflux.operations.direct._FOLLOWED_WITHIN_S", 0.0)
    operations, _ = installation
    assert {one["name"] for one in (await operations.generations())["generations"]} == {"main", "a"}
    assert any("--judged" in one for one in (await operations.objections("a", JudgedBody()))["objections"])
    with pytest.raises(FerrofluxError, match="not promoted"):
        await operations.promote("a", JudgedBody())
    assert (await operations.promote("a", JudgedBody(force="a try")))["live"] == "a"
    assert (await operations.roll_back())["live"] == "main"
    assert await operations.drop("a", JudgedBody(force="no more")) == {"dropped": "a"}
