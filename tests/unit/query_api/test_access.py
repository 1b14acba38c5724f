"""Keys by tenant, CORS and the headers of every answer."""

import pytest
from pydantic import ValidationError

from query_api.settings import HttpSettings
from tests.unit.query_api.app_under_test import serving

NORTH, SOUTH = "north-key-0123456789", "south-key-0123456789"
KEYS = {"norte": [NORTH], "sur": ["rotated-key-0123456789", SOUTH]}


@pytest.fixture
async def guarded(stores):
    async with serving(stores.app(http={"api_keys": KEYS})) as caller:
        yield caller


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize(
    ("tenant", "headers", "status"),
    [
        ("norte", bearer(NORTH), 200),
        ("norte", {"X-API-Key": NORTH}, 200),
        ("sur", bearer(SOUTH), 200),
        ("norte", {}, 401),
        ("norte", {"Authorization": "Basic abc"}, 401),
        ("norte", bearer("wrong"), 403),
        ("norte", bearer(SOUTH), 403),
        ("nobody", bearer(NORTH), 403),
    ],
)
async def test_a_key_opens_its_tenant_and_no_other(guarded, tenant, headers, status):
    search = await guarded.post("/v1/search", json={"tenant": tenant}, headers=headers)
    item = await guarded.get("/v1/items/TOR-M8", params={"tenant": tenant}, headers=headers)
    assert search.status_code == status
    assert item.status_code == (404 if (tenant, status) == ("sur", 200) else status)
    if status == 401:
        assert search.headers["WWW-Authenticate"].startswith("Bearer")


async def test_lists_and_counts_show_only_the_callers_tenants(guarded):
    assert (await guarded.get("/v1/tenants", headers=bearer(SOUTH))).json() == {"tenants": ["sur"]}
    status = (await guarded.get("/v1/status", headers=bearer(SOUTH))).json()
    assert status["catalogue"]["by_tenant"] == {"sur": 1}
    assert status["catalogue"]["documents"] == status["catalogue"]["vectors"] == 1


@pytest.mark.parametrize("path", ["/v1/tenants", "/v1/status"])
async def test_lists_and_counts_need_a_key_too(guarded, path):
    assert (await guarded.get(path)).status_code == 401
    assert (await guarded.get(path, headers=bearer("wrong"))).status_code == 403


async def test_health_needs_no_key(guarded):
    assert (await guarded.get("/healthz")).status_code == 200
    assert (await guarded.get("/readyz")).status_code == 200


@pytest.mark.parametrize("keys", [{"norte": []}, {"norte": ["short"]}])
def test_keys_that_protect_nothing_are_refused_at_the_start(keys):
    with pytest.raises(ValidationError, match="16 characters"):
        HttpSettings(api_keys=keys)


def test_keys_do_not_show_in_printed_settings():
    settings = HttpSettings(api_keys=KEYS)
    assert NORTH not in repr(settings)
    assert NORTH not in str(settings.model_dump(mode="json"))


@pytest.mark.parametrize("path", ["/", "/v1/tenants", "/nowhere", "/metrics"])
async def test_every_answer_has_the_security_headers(client, path):
    headers = (await client.get(path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]


async def test_other_origins_are_allowed_only_by_setting(client, stores):
    asked = {"Origin": "https://shop.example"}
    assert "Access-Control-Allow-Origin" not in (await client.get("/v1/tenants", headers=asked)).headers
    async with serving(stores.app(http={"cors_origins": ["https://shop.example"]})) as open_client:
        answer = await open_client.get("/v1/tenants", headers=asked)
        assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
        other = await open_client.get("/v1/tenants", headers={"Origin": "https://evil.example"})
        assert "Access-Control-Allow-Origin" not in other.headers
