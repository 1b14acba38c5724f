"""Listing, handing over and resetting facets: over HTTP, and on the command line."""

import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from pydantic import SecretStr

from ferroflux.cli.main import main
from ferroflux.cli.operate.facet import listing
from ferroflux.operations.direct import DirectOperations
from ferroflux.operations.routes import operations_router
from indexer.sources.file import FileSourceStore
from indexer.sources.service import SourceService
from runtime.clock import SYSTEM_CLOCK
from runtime.http.problems import install_problem_handlers
from runtime.rights.keys import Access
from runtime.rights.settings import KeyGrant
from schemas.api.routes import Role
from schemas.mapping.compiled import compile_mapping
from schemas.mapping.loading import parse_mapping
from schemas.product.sources import ANY_SOURCE, FIRST_OPERATOR_EPOCH, HOLDS_AFTER_MS

DECLARED = compile_mapping(parse_mapping("facets: [{facet: stock, fed_by: warehouse}]")).declared


class Facets(DirectOperations):
    """The operations, of which only those on sources are asked for."""

    sources: Any = None
    dead_letters = generation_service = replay = tombstone_gc = build = None  # type: ignore[assignment]

    def __init__(self, sources: SourceService) -> None:
        self.sources = sources


def client(folder: Path, **keys: str) -> TestClient:
    store = FileSourceStore(folder / "sources.json", SYSTEM_CLOCK)
    app = FastAPI()
    install_problem_handlers(app)
    app.state.access = Access(
        {tenant: (KeyGrant(key=SecretStr(key), roles=frozenset({Role.OPERATE})),) for tenant, key in keys.items()}
    )
    app.include_router(operations_router(Facets(SourceService(store, DECLARED)), Mock()))
    return TestClient(app, raise_server_exceptions=False)


def price(**more: object) -> dict[str, object]:
    return {"tenant": "shop", "facet": "price", **more}


def test_a_handover_is_shown_first_then_done_then_listed(tmp_path: Path) -> None:
    http = client(tmp_path)
    shown = http.post("/v1/facets/handover", json=price(to="erp")).json()
    assert (shown["applied"], http.get("/v1/facets").json()["facets"]) == (False, [])
    assert "events of every source come in" in shown["next"][0]
    now_ms = time.time_ns() // 1_000_000
    done = http.post("/v1/facets/handover", json=price(to="erp", note="new ERP", apply=True)).json()
    assert done["entry"]["epoch"] == FIRST_OPERATOR_EPOCH
    assert now_ms + HOLDS_AFTER_MS <= done["entry"]["since_ms"] <= now_ms + HOLDS_AFTER_MS + 60_000
    assert "dlq redrive" in done["next"][-1]
    again = http.post("/v1/facets/handover", json=price(to="erp", apply=True))
    assert (again.status_code, "facet reset" in again.json()["detail"]) == (422, True)
    lines = listing(http.get("/v1/facets", params={"tenant": "shop"}).json())
    assert lines[0] == "shop  price  fed by erp"
    assert lines[1].endswith("(new ERP)")
    assert lines[-1] == "every tenant  stock  fed by warehouse (epoch 0), by the mapping file"


def test_a_reset_names_whoever_feeds_the_facet(tmp_path: Path) -> None:
    http = client(tmp_path)
    undeclared = http.post("/v1/facets/reset", json=price(apply=True)).json()
    assert (undeclared["entry"]["source"], "every source" in undeclared["next"][1]) == (ANY_SOURCE, True)
    declared = http.post("/v1/facets/reset", json={"tenant": "shop", "facet": "stock:norte", "apply": True}).json()
    assert declared["entry"]["source"] == "warehouse"
    assert "by the mapping file" in declared["next"][0]


@pytest.mark.parametrize(
    "asked",
    [
        price(to="a b"),
        price(to="*"),
        {"tenant": "a b", "facet": "price", "to": "x"},
        price(facet="colour", to="x"),
        price(),
    ],
)
def test_what_makes_no_sense_is_refused(asked: dict[str, object], tmp_path: Path) -> None:
    assert client(tmp_path).post("/v1/facets/handover", json={**asked, "apply": True}).status_code == 422
    assert not (tmp_path / "sources.json").exists()


def test_with_keys_a_tenant_sees_and_changes_its_own_only(tmp_path: Path) -> None:
    http = client(tmp_path, shop="shop-key", other="other-key")
    key = {"X-API-Key": "other-key"}
    assert http.post("/v1/facets/reset", json=price(apply=True), headers=key).status_code == 403
    assert http.get("/v1/facets", params={"tenant": "shop"}, headers=key).status_code == 403
    assert http.get("/v1/facets", headers=key).status_code in (403, 422)
    assert http.get("/v1/facets", params={"tenant": "other"}, headers=key).status_code == 200


@pytest.mark.parametrize("command", [["list"], ["reset", "--tenant", "a", "--facet", "price"]])
def test_without_a_running_system_the_remedy_is_told(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FERROFLUX_URL", raising=False)
    with pytest.raises(SystemExit) as ended:
        main(["facet", *command, "--data-dir", str(tmp_path)])
    assert ended.value.code == 78
    assert "ferroflux up" in capsys.readouterr().err


def test_a_listing_of_nothing_says_what_that_means() -> None:
    assert listing({"facets": [], "every_tenant": []}) == [
        "no facet has declared sources: changes of every source come in"
    ]
