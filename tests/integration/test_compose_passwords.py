"""Kafka as compose.yaml sets it up: who knows no password gets nothing, our clients and Kafka Connect get in with theirs."""

import asyncio
import os
import re
from pathlib import Path

import asyncpg
import httpx
import pytest
import yaml
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from indexer.kafka.topics import TopicAdmin
from runtime.kafka.clients import client_options
from schemas.topics import KafkaSettings
from tests.support.data import ROOT
from tests.support.jars import jars, java
from tests.support.kafka.server import KafkaServer
from tests.support.postgres.server import PostgresServer
from tests.support.processes import ManagedProcess, free_port, wait_until
from tests.support.warehouse.database import Warehouse

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

PASSWORDS = {"KAFKA_BROKER_PASSWORD": "b-made", "KAFKA_PASSWORD": "f-made", "KAFKA_CONNECT_PASSWORD": "c-made"}
LISTENERS = re.compile(r"KAFKA_(LISTENER|INTER_BROKER|SASL|ADVERTISED|CONTROLLER)")


def filled(text: str) -> str:
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda found: PASSWORDS[found[1]], text)


def properties(environment: dict[str, str], ports: dict[str, int]) -> str:
    """The listeners' settings as the image's entry point turns variables into properties, on ports of this machine."""
    lines = []
    for name, value in environment.items():
        if LISTENERS.match(name):
            here = filled(value).replace("://:", "://127.0.0.1:").replace("kafka:", "127.0.0.1:")
            here = here.replace("localhost:", "127.0.0.1:")
            for inside, port in ports.items():
                here = re.sub(rf":{inside}\b", f":{port}", here)
            lines.append(f"{name.removeprefix('KAFKA_').replace('_', '.').lower()}={here}\n")
    return "".join(lines)


async def test_nobody_gets_in_without_a_password_and_connect_runs_with_its_own(tmp_path: Path):
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    ports = {"9092": free_port(), "19092": free_port(), "9093": free_port()}
    server = KafkaServer(tmp_path / "kafka")
    with server._properties.open("a") as file:
        file.write(properties(services["kafka"]["environment"], ports))
    server.start()
    connect = connect_worker(tmp_path, ports["9092"])
    try:
        for port in (ports["9092"], ports["19092"]):
            ours = KafkaSettings(
                bootstrap=f"127.0.0.1:{port}",
                security_protocol=services["indexer"]["environment"]["FERROFLUX_KAFKA__SECURITY_PROTOCOL"],
                sasl_mechanism=services["indexer"]["environment"]["FERROFLUX_KAFKA__SASL_MECHANISM"],
                sasl_username=services["indexer"]["environment"]["FERROFLUX_KAFKA__SASL_USERNAME"],
                sasl_password=SecretStr(filled(services["indexer"]["environment"]["FERROFLUX_KAFKA__SASL_PASSWORD"])),
            )
            async with TopicAdmin(ours) as admin:
                assert await admin.log_id() == server.cluster_id
            wrong = ours.model_copy(update={"sasl_password": SecretStr("guessed")})
            for stranger in (wrong, KafkaSettings(bootstrap=ours.bootstrap)):
                producer = AIOKafkaProducer(**client_options(stranger))
                with pytest.raises((KafkaError, TimeoutError)):
                    async with asyncio.timeout(3):
                        await producer.start()
                await producer.stop()
        url = connect[1]
        wait_until(lambda: answers(url), timeout=90, what=f"Connect to answer:\n{connect[0].tail()}")
    finally:
        connect[0].stop()
        server.stop()


async def test_the_connectors_user_reads_what_is_published_and_changes_nothing(
    postgres: PostgresServer, warehouse: Warehouse
):
    await warehouse.execute("create table customers (name text)")
    connection = await asyncpg.connect(postgres.dsn(warehouse.name).replace("postgres@", "debezium@"))
    try:
        assert await connection.fetchval("select count(*) from products") > 0
        assert await connection.fetchval(
            "select rolreplication and not rolsuper from pg_roles where rolname = 'debezium'"
        )
        # An incremental snapshot writes its watermarks there.
        await connection.execute("insert into debezium_signal values ('w', 'snapshot-window-open', null)")
        assert await connection.execute("delete from debezium_signal where id = 'w'") == "DELETE 1"
        for sql in (
            "update products set title = 'x'",
            "delete from stock",
            "select * from customers",
            "drop publication ferroflux",
            "create role other",
        ):
            with pytest.raises(asyncpg.PostgresError):
                await connection.execute(sql)
    finally:
        await connection.close()


def connect_worker(folder: Path, port: int) -> tuple[ManagedProcess, str]:
    """Kafka Connect with the file that `deploy/` ships; only addresses and plugins are this machine's."""
    rest = free_port()
    text = (ROOT / "deploy" / "debezium" / "connect-distributed.properties").read_text(encoding="utf-8")
    text = text.replace("kafka:9092", f"127.0.0.1:{port}").replace("http://:8083", f"http://127.0.0.1:{rest}")
    (folder / "plugins").mkdir()
    worker = folder / "connect.properties"
    worker.write_text(text.replace("/opt/connect/plugins", str(folder / "plugins")), encoding="utf-8")
    process = ManagedProcess(
        "connect",
        [
            *(java(), "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{jars('debezium')}/*"),
            *("org.apache.kafka.connect.cli.ConnectDistributed", str(worker)),
        ],
        log_dir=folder / "logs",
        env={**os.environ, **PASSWORDS, "WAREHOUSE_PASSWORD": "w-made"},
    )
    process.start()
    return process, f"http://127.0.0.1:{rest}"


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/connectors", timeout=5).is_success
    except httpx.TransportError:
        return False
