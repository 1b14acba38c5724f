"""The connector configurations that `deploy/` ships, put before Kafka Connect and Debezium themselves.

The MySQL one is checked as far as it can be without a MySQL server: every setting, transform and predicate is accepted
by the real connector, and the only thing said against it is that no server answers at its address. That its records are
understood is tested on recorded ones (`tests/unit/schemas`).
"""

import json

import pytest

from tests.support.data import ROOT
from tests.support.debezium.connect import validation_errors

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

DEPLOYED = ROOT / "deploy" / "debezium"


@pytest.mark.parametrize(("name", "jars"), [("warehouse-mysql", "debezium-mysql"), ("warehouse-postgres", "debezium")])
def test_connect_accepts_every_setting_and_misses_only_the_server(kafka, tmp_path, name, jars):
    config = json.loads((DEPLOYED / f"{name}.json").read_text())["config"]
    here = {"database.hostname": "127.0.0.1", "database.port": "1", "database.password": "none"}
    if "schema.history.internal.kafka.bootstrap.servers" in config:
        here["schema.history.internal.kafka.bootstrap.servers"] = kafka.bootstrap
    errors = validation_errors(tmp_path, config | here, kafka=kafka, name=jars)
    assert errors.keys() == {"database.hostname"}, errors
    assert "connect" in " ".join(errors["database.hostname"]).lower()


def test_a_wrong_setting_is_found(kafka, tmp_path):
    config = json.loads((DEPLOYED / "warehouse-mysql.json").read_text())["config"]
    wrong = {"snapshot.mode": "sometimes", "predicates.isSignal.pattern": "(", "database.port": "1"}
    errors = validation_errors(tmp_path, config | wrong, kafka=kafka, name="debezium-mysql")
    assert {"snapshot.mode", "predicates.isSignal.pattern"} <= errors.keys()
