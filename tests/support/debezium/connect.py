"""Kafka Connect standalone with a Debezium connector: running one, and asking it what it thinks of a configuration."""

from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.support.jars import jars, java
from tests.support.kafka.server import KafkaServer
from tests.support.postgres.server import PostgresServer
from tests.support.processes import ManagedProcess, free_port

_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


def validation_errors(
    folder: Path, connector: Mapping[str, str], *, kafka: KafkaServer, name: str
) -> dict[str, list[str]]:
    """What Kafka Connect itself says against a configuration, by setting; `name` is the folder of the connector's jars.

    Everything is checked: the connector's own settings, its transforms and predicates, and the database's address, by
    connecting to it.
    """
    plugins = folder / "plugins"
    plugins.mkdir(parents=True)
    (plugins / name).symlink_to(jars(name), target_is_directory=True)
    port = free_port()
    worker = _write(folder / "worker.properties", _worker(kafka, port, plugins, folder / "offsets"))
    process = ManagedProcess(
        "connect",
        [java(), *_JVM, "-cp", f"{jars(name)}/*", "org.apache.kafka.connect.cli.ConnectStandalone", str(worker)],
        log_dir=folder / "logs",
    )
    process.start()
    try:
        process.wait_for_line("Kafka Connect started", timeout=90)
        url = f"http://127.0.0.1:{port}/connector-plugins/{connector['connector.class']}/config/validate"
        reply = httpx.put(url, json={"name": "validated", **connector}, timeout=60).raise_for_status().json()
    finally:
        process.stop()
    values = [setting["value"] for setting in reply["configs"]]
    return {value["name"]: value["errors"] for value in values if value["errors"]}


class DebeziumConnect:
    """Runs one connector configuration, as an operator would post it to Kafka Connect, against the test's own servers."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: KafkaServer,
        postgres: PostgresServer,
        database: str,
        connector: Mapping[str, str],
    ) -> None:
        self._offsets = folder / "offsets"
        plugins = folder / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "debezium").symlink_to(jars("debezium"), target_is_directory=True)
        worker = _write(
            folder / "worker.properties",
            _worker(kafka, free_port(), plugins, self._offsets),
        )
        here = {
            "name": "warehouse",
            "database.hostname": "127.0.0.1",
            "database.port": str(postgres.port),
            "database.password": "unused",
            "database.dbname": database,
        }
        connection = _write(folder / "connector.properties", {**connector, **here})
        self.process = ManagedProcess(
            "connect",
            [
                *(java(), *_JVM, "-cp", f"{jars('debezium')}/*"),
                *("org.apache.kafka.connect.cli.ConnectStandalone", str(worker), str(connection)),
            ],
            log_dir=folder / "logs",
        )

    def start(self, timeout: float = 90) -> None:
        """Start and wait until the snapshot is done and the replication slot streams."""
        self.process.start()
        self.process.wait_for_line("Starting streaming", timeout)

    def stop(self) -> None:
        """Stop in order."""
        self.process.stop()

    def kill(self) -> None:
        """End it at once (SIGKILL); `start` goes on from the offsets that were flushed."""
        self.process.kill()

    def forget(self) -> None:
        """Lose the offsets, as a connector does that is deleted and made anew: the next start takes a snapshot."""
        self._offsets.unlink(missing_ok=True)


def _worker(kafka: KafkaServer, port: int, plugins: Path, offsets: Path) -> dict[str, str]:
    return {
        "bootstrap.servers": kafka.bootstrap,
        "listeners": f"http://127.0.0.1:{port}",
        "key.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "key.converter.schemas.enable": "false",
        "value.converter.schemas.enable": "false",
        "offset.storage.file.filename": str(offsets),
        "offset.flush.interval.ms": "1000",
        "plugin.path": str(plugins),
        "plugin.discovery": "only_scan",
    }


def _write(path: Path, properties: Mapping[str, str]) -> Path:
    # A Java properties file: a backslash in a value (a regular expression's) is written twice.
    lines = (f"{name}={value}\n".replace("\\", "\\\\") for name, value in properties.items())
    path.write_text("".join(lines))
    return path
