"""The replica's HTTP endpoints."""

import pytest
from prometheus_client import CollectorRegistry
from starlette.testclient import TestClient

from query_api.replica.operations.http import OperationsServer, operations_app
from query_api.replica.operations.metrics import ReplicaMetrics
from schemas.errors import ConfigurationError


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


async def test_a_taken_port_is_said_with_its_remedy(unused_tcp_port_factory):
    port = unused_tcp_port_factory()
    app = operations_app(lambda: None, CollectorRegistry())
    first, second = (OperationsServer(app, host="127.0.0.1", port=port) for _ in range(2))
    first.start()
    with pytest.raises(ConfigurationError, match="FERROFLUX_HTTP__PORT"):
        second.start()
    await first.stop()
