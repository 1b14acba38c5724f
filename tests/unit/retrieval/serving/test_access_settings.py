"""Which keys and tokens can be configured at all, and that none of them shows."""

import pytest
from pydantic import ValidationError

from query_api.settings import ApiSettings
from runtime.rights.settings import AccessSettings, CustomerTokens
from schemas.api.routes import BARE, Role

KEY, SECRET = "north-key-0123456789", "a secret of thirty-two bytes, or more"


def test_a_bare_key_may_search_and_chat_and_others_what_they_are_granted(monkeypatch) -> None:
    monkeypatch.setenv(
        "FERROFLUX_HTTP__API_KEYS", f'{{"norte": ["{KEY}", {{"key": "{KEY}2", "roles": ["write", "search"]}}]}}'
    )
    monkeypatch.setenv("FERROFLUX_HTTP__ADMIN_KEYS", f'["{KEY}3"]')
    http = ApiSettings().http
    assert [grant.roles for grant in http.api_keys["norte"]] == [BARE, {Role.WRITE, Role.SEARCH}]
    assert (http.bare_tenants, http.is_open) == (("norte",), False)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"api_keys": {"norte": [{"key": KEY, "roles": []}]}}, "at least 1"),
        ({"api_keys": {"norte": [{"key": KEY, "roles": ["root"]}]}}, "search"),
        ({"api_keys": {"norte": [{"key": KEY, "roles": ["admin"]}]}}, "admin_keys"),
        ({"api_keys": {"norte": [{"key": "short", "roles": ["search"]}]}}, "16 characters"),
        ({"api_keys": {"norte": [{"key": KEY, "roles": ["search"], "bare": True}]}}, "`key` and `roles`"),
        ({"admin_keys": ["short"]}, "16 characters"),
        ({"customers": {"norte": {"audience": "shop"}}}, "either"),
        ({"customers": {"norte": {"audience": "shop", "secret": SECRET, "jwks_url": "https://id"}}}, "either"),
        ({"customers": {"norte": {"audience": "shop", "secret": "short"}}}, "32 bytes"),
        ({"customers": {"norte": {"secret": SECRET}}}, "audience"),
        (
            {"customers": {"norte": {"audience": "shop", "secret": SECRET, "algorithms": ["HS256", "HS512"]}}},
            "64 bytes",
        ),
        ({"customers": {"norte": {"audience": "shop", "secret": SECRET, "algorithms": ["none"]}}}, "none of HS256"),
        ({"customers": {"norte": {"audience": "shop", "secret": SECRET, "algorithms": ["RS256"]}}}, "none of HS256"),
        ({"customers": {"norte": {"audience": "shop", "jwks_url": "https://id", "algorithms": ["HS256"]}}}, "RS256"),
        ({"customers": {"norte": {"audience": "shop", "jwks_url": "file:///keys"}}}, "https://"),
    ],
)
def test_what_protects_nothing_is_refused_with_the_reason(settings, words) -> None:
    with pytest.raises(ValidationError, match=words):
        AccessSettings(**settings)


def test_keys_and_secrets_do_not_show_in_printed_settings() -> None:
    settings = AccessSettings(
        api_keys={"norte": [KEY, {"key": KEY, "roles": ["write"]}]},
        admin_keys=[KEY],
        customers={"norte": CustomerTokens(secret=SECRET, audience="shop")},
    )
    for text in (repr(settings), str(settings), str(settings.model_dump(mode="json")), settings.model_dump_json()):
        assert KEY not in text
        assert SECRET not in text
