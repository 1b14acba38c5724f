"""`ferroflux up` reads every process' settings from one environment, so what one of them is told, the others pass over."""

import pytest

from agent.settings import AgentSettings
from ferroflux.embedded.chat import chat_settings
from indexer.settings import IndexerSettings
from query_api.replica.settings import ReplicaSettings
from query_api.settings import ApiSettings, HttpSettings
from schemas.api.routes import Role

KEY, SECRET = "north-key-0123456789", "one secret of more than thirty-two bytes"

VALUES = {
    "API_KEYS": f'{{"norte": ["{KEY}", {{"key": "{KEY}2", "roles": ["operate"]}}]}}',
    "ADMIN_KEYS": f'["{KEY}3"]',
    "CUSTOMERS": f'{{"norte": {{"secret": "{SECRET}", "audience": "shop"}}}}',
    "ALLOWED_HOSTS": '["shop.example"]',
    "CORS_ORIGINS": '["https://shop.example"]',
    "INSECURE_OPEN": "true",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch) -> None:
    for name, value in VALUES.items():
        monkeypatch.setenv(f"FERROFLUX_HTTP__{name}", value)


@pytest.mark.parametrize("settings", [IndexerSettings, ReplicaSettings, ApiSettings, AgentSettings])
def test_every_process_starts_with_the_keys_of_search_in_its_environment(settings) -> None:
    settings()


def test_the_chat_of_up_has_the_keys_and_the_address_of_search() -> None:
    api = ApiSettings()
    http = chat_settings(AgentSettings().agent.http, api.http.model_copy(update={"host": "::1", "port": 1}))
    assert [grant.roles for grant in http.api_keys["norte"]] == [{Role.SEARCH, Role.CHAT}, {Role.OPERATE}]
    shared = ("host", "port", "admin_keys", "customers", "allowed_hosts", "cors_origins", "insecure_open")
    assert {name: getattr(http, name) for name in shared} == {
        **{name: getattr(api.http, name) for name in shared},
        "host": "::1",
        "port": 1,
    }


def test_keys_of_its_own_are_the_chats_and_search_has_its(monkeypatch) -> None:
    monkeypatch.setenv("FERROFLUX_AGENT__HTTP__API_KEYS", f'{{"norte": ["{KEY}4"]}}')
    own = chat_settings(AgentSettings().agent.http, HttpSettings(api_keys={"norte": [KEY]}, admin_keys=[f"{KEY}3"]))
    assert [grant.key.get_secret_value() for grant in own.api_keys["norte"]] == [f"{KEY}4"]
    assert own.admin_keys == ()
