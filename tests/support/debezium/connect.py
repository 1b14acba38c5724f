"""Kafka Connect standalone with one Debezium PostgreSQL connector."""

from collections.abc import Mapping
from pathlib import Path

from tests.support.jars import jars, java
from tests.support.kafka.server import KafkaServer
from tests.support.postgres.server import PostgresServer
from tests.support.processes import ManagedProcess, free_port

_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


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
        plugins = folder / "plugins"
        plugins.mkdir(parents=True)
        (plugins / "debezium").symlink_to(jars("debezium"), target_is_directory=True)
        worker = _write(
            folder / "worker.properties",
            {
                "bootstrap.servers": kafka.bootstrap,
                "listeners": f"http://127.0.0.1:{free_port()}",
                "key.converter": "org.apache.kafka.connect.json.JsonConverter",
                "value.converter": "org.apache.kafka.connect.json.JsonConverter",
                "key.converter.schemas.enable": "false",
                "value.converter.schemas.enable": "false",
                "offset.storage.file.filename": str(folder / "offsets"),
                "offset.flush.interval.ms": "1000",
                "plugin.path": str(plugins),
                "plugin.discovery": "only_scan",
            },
        )
        here = {
            "name": "warehouse",
            "database.hostname": "127.0.0.1",
            "database.port": str(postgres.port),
            "database.user": "postgres",
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


def _write(path: Path, properties: Mapping[str, str]) -> Path:
    # A Java properties file: a backslash in a value (a regular expression's) is written twice.
    lines = (f"{name}={value}\n".replace("\\", "\\\\") for name, value in properties.items())
    path.write_text("".join(lines))
    return path
