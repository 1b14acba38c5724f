"""What gives access goes from every text; what only says where something is stays."""

import json

import pytest
from pydantic import BaseModel, SecretStr

from runtime.observability.redaction import (
    is_secret_name,
    known_secrets,
    redacted,
    redacted_value,
    shown,
    without,
    without_credentials,
)

CANARY = "canary-7f3a91"


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://agent:{CANARY}@db:5432/agent",
        f"postgresql://agent:{CANARY}@@db/agent",
        f"postgresql://agent:a/{CANARY}?b#c@db:5432/agent",
        f"redis://:{CANARY}@cache/0",
        f"rediss://{CANARY}@cache/0",
        f"https://shop.example/models/e5?token={CANARY}&part=2",
        f"https://blob.example/c/m?sv=2024&sig={CANARY}",
        f"https://s3.example/m?X-Amz-Credential=AK&X-Amz-Signature={CANARY}",
        f"https://shop.example/?{CANARY}",
        f"connection to host=db user=agent password={CANARY} failed",
        f"connection to host=db user=agent password='{CANARY}' failed",
        f"AccountName=shop;AccountKey={CANARY}==;EndpointSuffix=core",
        f"{{'sasl_plain_password': '{CANARY}'}}",
        json.dumps({"event": json.dumps({"api_key": CANARY})}),
        f"Authorization: Bearer {CANARY}",
        f"GET / HTTP/1.1\r\nX-API-Key: {CANARY}\r\nHost: h",
        f"{{'Authorization': 'Bearer {CANARY}', 'X-API-Key': '{CANARY}'}}",
        f"[(b'authorization', b'Bearer {CANARY}')]",
        f"first http://a:b@c then amqp://u:{CANARY}@d, and so on",
        f"\x1b[2mpassword\x1b[0m=\x1b[35mx\x1b[0m url=\x1b[35mhttps://u:{CANARY}@h\x1b[0m",
    ],
)
def test_no_secret_is_left_in_a_text(text):
    assert CANARY not in redacted(text)


@pytest.mark.parametrize(
    "text",
    [
        "no ferroflux answers at http://127.0.0.1:8000 (ConnectError): start one with `ferroflux up`",
        "kafka:9092,kafka-2:9092",
        "http://[::1]:8000/v1/items/A%2F1",
        "mongodb://one:27017,two:27017/shop",
        "s3://bucket/replica",
        "file:///var/lib/snapshots",
        "FERROFLUX_KAFKA__SASL_PASSWORD: the password would not be used",
        "input_tokens=812 output_tokens=40",
        "the password: see the settings",
        '{"key": "acme/A-1", "tokens": "12"}',
    ],
)
def test_a_text_without_secrets_stays_as_it_is(text):
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        (f"https://joe:{CANARY}@host:8443/a/b?rev=2&token={CANARY}", "https://host:8443/a/b?rev=2"),
        (f"https://host/a?X-Amz-Date=1&X-Amz-Signature={CANARY}", "https://host/a"),
        (f"https://host/a?sv=2024&sig={CANARY}", "https://host/a?sv=2024"),
        ("https://host/a?rev=2", "https://host/a?rev=2"),
        ("/models/e5", "/models/e5"),
        ("all-MiniLM-L6-v2", "all-MiniLM-L6-v2"),
    ],
)
def test_a_record_keeps_which_thing_a_url_names_and_not_how_to_get_in(url, plain):
    assert without_credentials(url) == plain


def test_settings_are_shown_without_secrets():
    class Inner(BaseModel):
        password: str = CANARY
        daily_tokens: int = 7
        url: str = f"http://u:{CANARY}@h"

    class Outer(BaseModel):
        inner: Inner = Inner()
        key: SecretStr = SecretStr(CANARY)
        api_keys: dict[str, list[str]] = {"norte": [CANARY]}
        addresses: tuple[str, ...] = (f"https://h/?sig={CANARY}",)

    told = shown(Outer())
    assert CANARY not in str(told)
    assert told["inner"]["daily_tokens"] == 7
    assert told["inner"]["url"] == "http://***@h"


def test_what_the_environment_gave_us_is_known_in_whatever_form_it_comes_back():
    environment = {
        "FERROFLUX_KAFKA__SASL_PASSWORD": "hunter-two-2",
        "FERROFLUX_HTTP__API_KEYS": '{"norte": ["0123456789abcdef"]}',
        "FERROFLUX_AGENT__DATABASE__URL": "postgresql://agent:p4ssw0rd-x@db/agent",
        "OPENAI_API_KEY": "sk-0987654321",
        "FERROFLUX_TEXT__DIRECTORY": "/var/lib/ferroflux",
        "SHOP_PASSWORD": "shop",
        "PWD": "/work/somewhere",
    }
    known = known_secrets(environment)
    assert set(known) == {"hunter-two-2", "0123456789abcdef", "p4ssw0rd-x", "sk-0987654321"}
    assert without(known, "login of (hunter-two-2) and sk-0987654321 at /var/lib/ferroflux") == (
        "login of (***) and *** at /var/lib/ferroflux"
    )


@pytest.mark.parametrize(
    "name", ["sasl_password", "api_keys", "API_KEY", "AWS_SECRET_ACCESS_KEY", "token", "X-Amz-Signature"]
)
def test_names_of_secrets(name):
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name", ["daily_tokens", "batch_tokens", "key", "url", "tenant", "idempotency_key", "AWS_ACCESS_KEY_ID"]
)
def test_names_of_other_things(name):
    assert not is_secret_name(name)


def test_a_value_keeps_its_shape():
    assert redacted_value({"a": [1, None, True, "https://u:p@h"], "token": ""}) == {
        "a": [1, None, True, "https://***@h"],
        "token": "",
    }


def test_secrets_within_json_of_a_harmless_name_and_their_decoded_forms_are_known():
    environment = {
        "FERROFLUX_HTTP__CUSTOMERS": '{"norte": {"secret": "a-secret-of-theirs", "audience": "the-audience"}}',
        "FERROFLUX_KAFKA": '{"sasl_password": "kafka-password", "bootstrap": "broker-of-ours:9092"}',
        "DSN": "postgresql://shop:p%40ssword-1@db/x",
    }
    assert set(known_secrets(environment)) == {"a-secret-of-theirs", "kafka-password", "p%40ssword-1", "p@ssword-1"}


def test_a_customers_token_is_hidden_as_a_header():
    assert "eyJhbGciOi" not in redacted("X-Customer-Token: eyJhbGciOi.x.y")
