"""Each of our services starts with the very command and environment that compose.yaml gives it, and does its work.

Only what a container would give is put in its place: the hosts `kafka` and `qdrant`, the mounted paths, the ports.
"""

import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import yaml

from retrieval.encoders.settings import default_cache_dir
from tests.support.agent.databases import fresh_postgres
from tests.support.data import ROOT
from tests.support.kafka.clients import Record, append
from tests.support.kafka.server import KafkaServer
from tests.support.postgres.server import PostgresServer
from tests.support.processes import ManagedProcess, free_port, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SERVICES = ("indexer", "replica", "api", "agent")


SHOP_KEY = "shop-key-0123456789"
"""What an operator sets; compose.yaml refuses to start without it."""


class Translation:
    """From the containers' names, paths and ports to those of this machine."""

    def __init__(self, folder: Path, kafka: KafkaServer, grpc_port: int, database: str) -> None:
        self._replacements = {
            "kafka:9092": kafka.bootstrap,
            "http://qdrant:6333": "http://127.0.0.1:6333",
            "http://api:8000": "http://127.0.0.1:8000",
            "postgresql://agent:${AGENT_DATABASE_PASSWORD:?run make env}@orders:5432/agent": database,
            "/var/lib/ferroflux": str(folder),
            "/var/lib/snapshots": str(folder / "snapshots"),
            "/var/lib/workers": str(folder / "workers"),
            "/opt/ferroflux/models": str(default_cache_dir()),
            **{str(port): str(free_port()) for port in (8000, 8001, 8002, 8090)},
        }
        # This test's servers ask for no password; what does is tested in test_compose_passwords.py.
        self.beside = {
            "FERROFLUX_VECTORS__GRPC_PORT": str(grpc_port),
            "FERROFLUX_KAFKA__SECURITY_PROTOCOL": "PLAINTEXT",
            "FERROFLUX_KAFKA__SASL_USERNAME": "",
            "FERROFLUX_KAFKA__SASL_PASSWORD": "",
            "PYTHONPATH": str(ROOT),
        }

    def mount(self, volume: str) -> None:
        source, target, *_ = volume.split(":")
        if source.startswith("."):
            self._replacements[target] = str(ROOT / source)

    def __call__(self, text: str) -> str:
        text = re.sub(r"\$\{(SHOP|ADMIN)_KEY[^}]*\}", SHOP_KEY, text)
        for inside, outside in self._replacements.items():
            text = text.replace(inside, outside)
        return text


def command_line(parts: list[str], translate: Translation) -> list[str]:
    programs = {"ferroflux": [str(Path(sys.executable).with_name("ferroflux"))], "python": [sys.executable]}
    return [*programs[parts[0]], *(translate(part) for part in parts[1:])]


@pytest.fixture
async def translate(tmp_path: Path, kafka: KafkaServer, postgres: PostgresServer) -> AsyncIterator[Translation]:
    port = free_port()
    vectors = ManagedProcess(
        "vectors",
        [sys.executable, "-m", "tests.support.qdrant_grpc", "--port", str(port), "--dir", str(tmp_path / "vectors")],
        log_dir=tmp_path / "logs",
        env={"PYTHONPATH": str(ROOT)},
    )
    vectors.start()
    vectors.wait_for_line("ready", timeout=30)
    async with fresh_postgres(postgres) as database:
        yield Translation(tmp_path, kafka, port, database.url.get_secret_value())
    vectors.stop()


def is_healthy(service: dict[str, Any], translate: Translation) -> bool:
    kind, *parts = service["healthcheck"]["test"]
    assert kind == "CMD"
    check = subprocess.run(command_line(parts, translate), cwd=ROOT, check=False, capture_output=True)
    return check.returncode == 0


async def test_the_services_of_the_compose_file_carry_a_change_to_a_search(
    tmp_path: Path, kafka: KafkaServer, translate: Translation
):
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    processes: list[ManagedProcess] = []
    try:
        for name in SERVICES:
            service = services[name]
            for volume in service.get("volumes", ()):
                translate.mount(volume)
            environment = {key: translate(value) for key, value in service["environment"].items()}
            process = ManagedProcess(
                name,
                command_line(service["command"], translate),
                log_dir=tmp_path / "logs",
                env={**environment, **translate.beside},
            )
            process.start()
            processes.append(process)

            def healthy(service: dict[str, Any] = service, process: ManagedProcess = process) -> bool:
                assert process.running, f"{process.name} ended with {process.returncode}:\n{process.tail()}"
                return is_healthy(service, translate)

            wait_until(healthy, timeout=60, what=f"{name} to be healthy:\n{process.tail()}")

        keyed = {"X-API-Key": SHOP_KEY}
        event = {"tenant": "centro", "sku": "B-1", "version": 1, "fields": {"title": 'Broca de prueba 1/4"'}}
        await append(kafka.bootstrap, "warehouse.changes", [Record(b"centro/B-1", orjson.dumps(event))])

        def found() -> bool:
            path = translate("http://127.0.0.1:8000/v1/search?tenant=centro&q=broca 1/4")
            assert httpx.get(path, timeout=5).status_code == httpx.codes.UNAUTHORIZED
            answer = httpx.get(path, headers=keyed, timeout=5)
            return [hit["item"]["sku"] for hit in answer.json().get("hits", ())] == ["B-1"]

        wait_until(found, timeout=30, what="the product to be found")
        turn = {"tenant": "centro", "message": "dame 3 B-1"}
        async with httpx.AsyncClient(timeout=30, headers=keyed) as client:
            reply = (await client.post(translate("http://127.0.0.1:8090/v1/chat"), json=turn)).json()
        assert [(line["sku"], line["quantity"]) for line in reply["order"]["lines"]] == [("B-1", "3")]
    finally:
        for process in reversed(processes):
            process.stop()
    assert [process.returncode for process in processes] == [0] * len(SERVICES)
