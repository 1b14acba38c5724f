"""Settings that contradict each other are refused with a sentence, and secrets stay out of the log."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from indexer.settings import ConsumerSettings, IndexerSettings
from runtime.observability.redaction import shown
from schemas.topics import KafkaSettings, TopicNames


@pytest.mark.parametrize(
    ("kafka", "sentence"),
    [
        ({"security_protocol": "TLS"}, "is none of PLAINTEXT, SSL"),
        ({"security_protocol": "SASL_SSL"}, "sasl_username and kafka.sasl_password must be set"),
        ({"security_protocol": "SASL_SSL", "sasl_mechanism": "GSSAPI", "sasl_username": "a", "sasl_password": "b"}, "is none of PLAIN"),
        ({"sasl_username": "a", "sasl_password": "b"}, "has no SASL: the password would not be used"),
        ({"topics": TopicNames(changes=())}, "there is nothing to index"),
        ({"topics": TopicNames(changes=("catalog.documents",))}, "would read what it writes"),
    ],
)  # fmt: skip
def test_contradictions_are_refused(kafka: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        IndexerSettings(kafka=KafkaSettings(**kafka))


def test_a_grace_longer_than_the_rebalance_is_refused() -> None:
    with pytest.raises(ValidationError, match="must be shorter than rebalance_timeout_ms"):
        ConsumerSettings(revoke_grace_s=60)


def test_the_environment_reaches_nested_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FERROFLUX_KAFKA__BOOTSTRAP", "broker:9092")
    monkeypatch.setenv("FERROFLUX_KAFKA__TOPICS__CHANGES", '["shop.public.products"]')
    monkeypatch.setenv("FERROFLUX_CONSUMER__GROUP_INSTANCE_ID", "indexer-0")
    settings = IndexerSettings()
    assert settings.kafka.bootstrap == "broker:9092"
    assert settings.kafka.topics.changes == ("shop.public.products",)
    assert settings.consumer.group_instance_id == "indexer-0"


def test_secrets_are_not_shown() -> None:
    kafka = KafkaSettings(security_protocol="SASL_PLAINTEXT", sasl_username="ana", sasl_password=SecretStr("s3cret"))
    settings = IndexerSettings.model_validate({"kafka": kafka, "vectors": {"api_key": "k3y"}})
    told = str(shown(settings))
    assert "s3cret" not in told + repr(settings)
    assert "k3y" not in told + repr(settings)
    assert "ana" in told
