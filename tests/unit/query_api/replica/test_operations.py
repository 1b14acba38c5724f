"""The replica's HTTP endpoints."""

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from query_api.replica.bootstrap import operations_app
from query_api.replica.tailing.metrics import ReplicaMetrics


@pytest.mark.parametrize(("reason", "status"), [(None, 200), ("catching up: 12 records", 503)])
def test_readiness_says_what_it_waits_for(reason, status):
    client = TestClient(operations_app(lambda: reason, CollectorRegistry()))
    reply = client.get("/readyz")
    assert reply.status_code == status
    assert reply.json().get("waiting_for") == reason
    assert client.get("/healthz").status_code == 200


def test_metrics_are_rendered():
    metrics = ReplicaMetrics()
    metrics.progressed({0: 7}, caught_up=False)
    reply = TestClient(operations_app(lambda: None, metrics.registry)).get("/metrics")
    assert 'ferroflux_replica_lag_records{partition="0"} 7.0' in reply.text


def test_what_is_wrong_without_keeping_the_replica_from_serving_is_said_too():
    client = TestClient(operations_app(lambda: None, CollectorRegistry(), degraded=lambda: {"alias-tailer": "away"}))
    reply = client.get("/readyz")
    assert reply.status_code == 200
    assert reply.json() == {"status": "ready", "degraded": {"alias-tailer": "away"}}
