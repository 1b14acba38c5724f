"""Ids of topics: what is answered, what may not be known, and when nobody answers."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.kafka import topic_identity as topic_ids
from runtime.kafka.clients import librdkafka_options
from runtime.kafka.topic_identity import TopicIds
from schemas.errors import LogUnavailableError
from schemas.topics import KafkaSettings


class Described:
    def __init__(self, topic_id: str) -> None:
        self.topic_id = topic_id


def answers(monkeypatch, given):
    class Admin:
        def __init__(self, options):
            self.options = options

        def describe_topics(self, topics, *, request_timeout):
            futures = {}
            for topic in topics.topics if hasattr(topics, "topics") else given:
                futures[topic] = Future()
                outcome = given[topic]
                if isinstance(outcome, int):
                    futures[topic].set_exception(KafkaException(KafkaError(outcome)))
                else:
                    futures[topic].set_result(Described(outcome))
            return futures

    monkeypatch.setattr(topic_ids, "AdminClient", Admin)
    return TopicIds(KafkaSettings())


async def test_ids_are_given_and_what_is_absent_or_may_not_be_described_is_left_out(monkeypatch):
    given = {
        "there": "Hz8ZmjlySQ67Z40S0nv3UQ",
        "absent": KafkaError.UNKNOWN_TOPIC_OR_PART,
        "secret": KafkaError.TOPIC_AUTHORIZATION_FAILED,
        "old": "AAAAAAAAAAAAAAAAAAAAAA",
    }
    told = []
    monkeypatch.setattr(topic_ids.log, "warning", lambda *_, **fields: told.append((fields["topic"], fields["remedy"])))
    ids = answers(monkeypatch, given)
    for _ in range(2):
        assert await ids.of(given) == {"there": "Hz8ZmjlySQ67Z40S0nv3UQ"}
    # Each is told once, with what to do about it.
    assert [topic for topic in given if ids.is_unknowable(topic)] == ["secret", "old"]
    assert sorted(told) == [
        ("old", "allow this client to DESCRIBE topic old"),
        ("secret", "allow this client to DESCRIBE topic secret"),
    ]


async def test_a_cluster_that_does_not_answer_is_away(monkeypatch):
    with pytest.raises(LogUnavailableError, match="did not describe"):
        await answers(monkeypatch, {"t": KafkaError._TIMED_OUT}).of(["t"])


def test_security_is_said_in_librdkafkas_words():
    settings = KafkaSettings(
        bootstrap="b:1",
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="u",
        sasl_password="p",
        ssl_cafile="/ca.pem",
    )
    assert librdkafka_options(settings) == {
        "bootstrap.servers": "b:1",
        "security.protocol": "SASL_SSL",
        "log_level": 0,
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.ca.location": "/ca.pem",
    }
