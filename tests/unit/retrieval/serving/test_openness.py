"""Without keys: where a process may listen, by which name it is called, which pages may change something, and what it says first."""

from __future__ import annotations

from unittest.mock import Mock

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from structlog.testing import capture_logs

import agent.bootstrap
import query_api.bootstrap
from agent.settings import AgentSettings
from ferroflux.data_directory import DataDirectory
from ferroflux.embedded.settings import EmbeddedOptions
from ferroflux.embedded.system import EmbeddedSystem
from query_api.settings import ApiSettings
from runtime.rights.openness import OpenGuardMiddleware, announce, is_loopback, require_guarded
from runtime.rights.settings import AccessSettings
from schemas.errors import ConfigurationError

KEYS = {"api_keys": {"norte": ["north-key-0123456789"]}}
PREFIX = "FERROFLUX_HTTP__"


async def answer(scope, receive, send) -> None:
    await PlainTextResponse(Request(scope).url.path)(scope, receive, send)


async def status(method: str = "GET", path: str = "/v1/status", settings: dict | None = None, **headers: str) -> int:
    app = OpenGuardMiddleware(answer, AccessSettings(**(settings or {})))
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost:8000") as caller:
        return (await caller.request(method, path, headers=named)).status_code


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "[::1]", "localhost.:8000"],
)
async def test_the_names_of_this_machine_are_answered(host) -> None:
    assert await status(Host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example#localhost",
        "192.168.0.7:8000",
        "0.0.0.0:8000",
        "",
        "[::1",
        "localhost:8000:9",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_any_other_name_is_refused(host, method) -> None:
    assert await status(method, Host=host) == 403


async def test_names_that_the_operator_lists_are_answered_and_so_is_the_address_listened_on() -> None:
    settings = {"host": "shop.internal", "allowed_hosts": ["Search.Shop.Example"]}
    for host in ("search.shop.example", "shop.internal:8000"):
        assert await status(settings=settings, Host=host) == 200
        assert await status(Host=host) == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_call_by_address(path) -> None:
    assert await status(path=path, Host="10.0.0.7:8000") == 200


async def test_who_opened_a_process_to_others_is_called_by_address_and_by_no_unknown_name() -> None:
    settings = {"host": "0.0.0.0", "insecure_open": True}
    assert await status(settings=settings, Host="192.168.0.7:8000") == 200
    assert await status(settings=settings, Host="evil.example:8000") == 403


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 200),
        ({"Origin": "http://localhost:8000"}, 200),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "https://shop.example"}, 200),
        ({"Sec_Fetch_Site": "cross-site"}, 403),
        ({"Sec_Fetch_Site": "same-site"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 200),
        ({"Sec_Fetch_Site": "none"}, 200),
    ],
)
@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT", "PATCH"])
async def test_pages_of_other_origins_change_nothing(method, headers, expected) -> None:
    settings = {"cors_origins": ["https://shop.example/"]}
    assert await status(method, settings=settings, **headers) == expected
    assert await status("GET", settings=settings, **headers) == 200


async def test_with_keys_names_and_origins_are_nobodys_business() -> None:
    assert await status("POST", settings=KEYS, Host="shop.example", Origin="https://evil.example") == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "localhost"])
def test_loopback_is_what_this_machine_alone_reaches(host) -> None:
    assert is_loopback(host)
    require_guarded(AccessSettings(host=host), PREFIX)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.0.7", "10.1.1.1", "::ffff:10.1.1.1", "no.such.host.invalid"]
)
def test_elsewhere_wants_keys_or_the_word_for_it(host) -> None:
    assert not is_loopback(host)
    with pytest.raises(ConfigurationError, match="--insecure-open"):
        require_guarded(AccessSettings(host=host), PREFIX)
    require_guarded(AccessSettings(host=host, insecure_open=True), PREFIX)
    require_guarded(AccessSettings(host=host, **KEYS), PREFIX)
    require_guarded(AccessSettings(host=host, admin_keys=["installation-key-0123456789"]), PREFIX)


@pytest.mark.parametrize("process", ["api", "agent", "up"])
async def test_no_process_listens_elsewhere_without_keys(process, tmp_path, monkeypatch) -> None:
    with pytest.raises(ConfigurationError, match="API_KEYS"), capture_logs():
        match process:
            case "api":
                query_api.bootstrap.run_api(ApiSettings(http={"host": "0.0.0.0"}))
            case "agent":
                agent.bootstrap.run_agent(AgentSettings(agent={"http": {"host": "0.0.0.0"}}))
            case _:
                await EmbeddedSystem(EmbeddedOptions(DataDirectory(tmp_path / "data"), "0.0.0.0", 0), Mock()).start()
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("process", ["api", "agent"])
def test_a_process_without_keys_says_so_first(process, monkeypatch) -> None:
    module = query_api.bootstrap if process == "api" else agent.bootstrap
    monkeypatch.setattr(module, "serve_workers", lambda *_, **__: None)
    with capture_logs() as lines:
        query_api.bootstrap.run_api(ApiSettings()) if process == "api" else agent.bootstrap.run_agent(AgentSettings())
    assert lines[0]["event"].startswith("open: no keys are set")


def test_keys_without_roles_are_told_once_with_the_way_to_grant_more() -> None:
    with capture_logs() as lines:
        announce(AccessSettings(**KEYS), PREFIX)
        announce(AccessSettings(api_keys={"norte": [{"key": "north-key-0123456789", "roles": ["search"]}]}), PREFIX)
    (line,) = lines
    assert "norte" in line["event"]
    assert "FERROFLUX_HTTP__API_KEYS" in line["event"]
    assert '"roles"' in line["event"]
    assert "north-key" not in str(lines)
