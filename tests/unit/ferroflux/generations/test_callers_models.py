"""`POST /v1/generations/build`: a caller names a model that is listed, or none is opened."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fsspec
import httpx
import pytest
from fastapi import FastAPI
from fsspec.implementations.memory import MemoryFileSystem

import retrieval.encoders.models.sources as sources
from ferroflux.operations.building import CallersModels, chosen_encoder
from ferroflux.operations.port import BuildBody, Json, OnProgress
from ferroflux.operations.routes import operations_router
from retrieval.encoders.settings import EncoderSettings
from runtime.http.problems import install_problem_handlers
from runtime.rights.fetching import FetchSettings
from runtime.rights.keys import Access


class Generations:
    """Remembers what it was told to build."""

    def __init__(self, own: EncoderSettings) -> None:
        self.built: list[EncoderSettings] = []
        self._own = own

    async def build(self, asked: BuildBody, _on_progress: OnProgress) -> Json:
        self.built.append(chosen_encoder(self._own, asked.model, asked.assignments))
        return {"outcome": "built"}


class Caller:
    def __init__(self, own: EncoderSettings, fetch: FetchSettings) -> None:
        self.generations = Generations(own)
        self.app = FastAPI()
        self.app.state.access = Access({})
        install_problem_handlers(self.app)
        self.app.include_router(operations_router(self.generations, CallersModels(own, fetch)))  # type: ignore[arg-type]

    async def builds(self, **body: Any) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://up") as client:
            return await client.post("/v1/generations/build", json={"name": "next", **body})


@pytest.fixture
def opened(monkeypatch) -> list[tuple[str, dict[str, Any]]]:
    """Every URL that is opened, and how; a model's folder lies at each."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def url_to_fs(url: str, **options: Any) -> tuple[MemoryFileSystem, str]:
        seen.append((url, options))
        files = MemoryFileSystem()
        for marker in ("modules.json", "config.json"):
            files.pipe_file(f"/model/{marker}", b"[]")
        return files, "/model"

    monkeypatch.setattr(fsspec, "url_to_fs", url_to_fs)
    return seen


@pytest.mark.parametrize(
    ("body", "setting"),
    [
        ({"model": "http://169.254.169.254/latest"}, "FERROFLUX_FETCH__SCHEMES"),
        ({"model": "https://169.254.169.254/latest"}, "FERROFLUX_FETCH__HOSTS"),
        ({"model": "s3://somebody/model"}, "FERROFLUX_FETCH__HOSTS"),
        ({"model": "/etc"}, "FERROFLUX_FETCH__FOLDERS"),
        ({"set": ["model=https://127.0.0.1/x"]}, "FERROFLUX_FETCH__HOSTS"),
        ({"set": ["sparse.model=file:///etc"]}, "no plain URL"),
        ({"set": ["encoder.sparse.model=../x"]}, "FERROFLUX_FETCH__FOLDERS"),
        ({"set": ["cache_dir=/etc/cron.d"]}, "cache_dir"),
    ],
)
async def test_what_is_not_listed_is_refused_before_anything_is_opened(body, setting, opened, tmp_path):
    caller = Caller(EncoderSettings(cache_dir=tmp_path), FetchSettings())
    answer = await caller.builds(**body)
    assert answer.status_code == 422
    assert setting in answer.json()["detail"]
    assert opened == []
    assert caller.generations.built == []


@pytest.mark.parametrize("model", ["", "all-MiniLM-L6-v2", "multilingual-e5-small", "https://own.example/m?token=abc"])
async def test_what_the_server_has_anyway_may_be_named(model, opened, tmp_path):
    own = EncoderSettings(model="https://own.example/m?token=abc", cache_dir=tmp_path)
    caller = Caller(own, FetchSettings())
    assert (await caller.builds(model=model)).json() == {"outcome": "built"}
    assert [encoder.model for encoder in caller.generations.built] == [model or own.model]
    assert opened == [], "the build itself opens what is the operator's"


async def test_a_listed_host_is_fetched_at_once_without_following_redirects(opened, tmp_path):
    caller = Caller(EncoderSettings(cache_dir=tmp_path), FetchSettings(hosts=("models.example",)))
    answer = await caller.builds(model="https://models.example/e5", set=["sparse.model=https://models.example/splade"])
    assert answer.json() == {"outcome": "built"}
    assert [url for url, _ in opened] == ["https://models.example/e5", "https://models.example/splade"]
    for _, options in opened:
        assert options["allow_redirects"] is False
        with pytest.raises(OSError, match="redirect"):
            await options["client_kwargs"]["raise_for_status"](SimpleNamespace(status=302))
        await options["client_kwargs"]["raise_for_status"](SimpleNamespace(status=200))
    assert sources.find_source("https://models.example/e5", tmp_path).path.is_dir()
    assert len(opened) == 2, "the build finds it in the cache"


async def test_a_folder_that_leads_out_of_the_listed_one_ends_the_build_with_a_sentence(opened, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "link").symlink_to(Path("/etc"))
    caller = Caller(EncoderSettings(cache_dir=tmp_path), FetchSettings(folders=(models,)))
    answer = (await caller.builds(model=str(models / "link"))).json()
    assert "leads out" in answer["error"]
    assert caller.generations.built == []
