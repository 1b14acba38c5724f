"""Fixture: starts Debezium connectors and stops them with the test."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.debezium.connect import DebeziumConnect


@pytest.fixture
def debezium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., DebeziumConnect]]:
    """`debezium(kafka=…, postgres=…, database=…, connector={…})` runs one connector until the test ends."""
    running: list[DebeziumConnect] = []

    def start(**options: Any) -> DebeziumConnect:
        connect = DebeziumConnect(tmp_path_factory.mktemp("debezium"), **options)
        running.append(connect)
        connect.start()
        return connect

    yield start
    for connect in running:
        connect.stop()
