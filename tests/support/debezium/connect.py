"""Kafka Connect standalone with one Debezium PostgreSQL connector."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.jars import jars, java
from tests.support.kafka.server import KafkaServer
from tests.support.postgres.server import PostgresServer
from tests.support.processes import ManagedProcess, free_port

_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class DebeziumConnect:
    """Streams tables of one database to the topics `<prefix>.<schema>.<table>`."""

    def __init__(
        self,
        folder: Path,
        *,
        kafka: KafkaServer,
        postgres: PostgresServer,
        database: str,
        tables: Sequence[str],
        prefix: str,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        plugins = folder / "plugins"
        plugins.mkdir(exist_ok=True)
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
        connector = _write(
            folder / "connector.properties",
            {
                "name": prefix,
                "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
                "database.hostname": "127.0.0.1",
                "database.port": str(postgres.port),
                "database.user": "postgres",
                "database.password": "unused",
                "database.dbname": database,
                "topic.prefix": prefix,
                "table.include.list": ",".join(tables),
                "plugin.name": "pgoutput",
                "slot.name": f"{prefix}_slot".replace("-", "_").replace(".", "_"),
                "publication.name": f"{prefix}_publication".replace("-", "_").replace(".", "_"),
                "publication.autocreate.mode": "filtered",
                "decimal.handling.mode": "string",
                "poll.interval.ms": "20",
                "topic.creation.enable": "true",
                "topic.creation.default.replication.factor": "1",
                "topic.creation.default.partitions": "3",
                **(settings or {}),
            },
        )
        self.process = ManagedProcess(
            "connect",
            [
                *(java(), *_JVM, "-cp", f"{jars('debezium')}/*"),
                *("org.apache.kafka.connect.cli.ConnectStandalone", str(worker), str(connector)),
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
    path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
    return path
