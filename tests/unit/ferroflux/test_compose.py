"""compose.yaml and the Dockerfile hold together: the specification's schema, the files they name, the start order."""

import json
import re
import stat
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from deploy.compose_env import NAMES, write_env

ROOT = Path(__file__).resolve().parents[3]
OURS = ("indexer", "replica", "api", "agent")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))


def test_it_is_valid_under_the_compose_specification(compose: dict[str, Any]):
    folder = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    schema = json.loads((folder / "compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(compose)


def test_every_mounted_and_built_file_exists(compose: dict[str, Any]):
    for service in compose["services"].values():
        build = service.get("build")
        if build:
            assert (ROOT / build["context"] / build["dockerfile"]).is_file()
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert (ROOT / source).is_file(), source
            else:
                assert source in compose["volumes"], source


def test_every_build_target_is_a_stage_of_the_dockerfile(compose: dict[str, Any]):
    stages = set(
        re.findall(r"^FROM .* AS (\w+)$", (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    )
    targets = {service["build"]["target"] for service in compose["services"].values() if "build" in service}
    assert targets <= stages


def test_every_file_that_the_dockerfile_copies_exists_and_is_not_ignored():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split() if line[0] == "!"}
    for line in (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8").splitlines():
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert source.split("/")[0] in allowed, source


def test_a_service_waits_for_services_that_have_a_health_check(compose: dict[str, Any]):
    services = compose["services"]
    for name, service in services.items():
        for needed, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}, (name, needed)
            assert "healthcheck" in services[needed], needed


def test_the_start_order_has_no_cycle_and_ends_with_the_agent(compose: dict[str, Any]):
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...] = ()) -> None:
        assert name not in path, f"a cycle: {path}"
        if name in order:
            return
        for needed in compose["services"][name].get("depends_on", {}):
            visit(needed, (*path, name))
        order.append(name)

    for name in compose["services"]:
        visit(name)
    started = [name for name in order if name in OURS]
    assert started == list(OURS)
    assert order.index("kafka") < order.index("indexer")


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_unprivileged_and_read_only(compose: dict[str, Any], name: str):
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["init"] is True


def test_published_ports_are_bound_to_this_machine_only(compose: dict[str, Any]):
    for name, service in compose["services"].items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), (name, port)


def test_every_password_is_asked_for_and_none_has_a_default():
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    asked = re.findall(r"(?<!\$)\$\{(\w+)(.*?)\}", text)
    assert {name for name, _ in asked} == set(NAMES)
    assert {otherwise for _, otherwise in asked} == {":?run make env"}


def test_every_listener_of_kafka_asks_for_a_password_or_is_inside_the_container(compose: dict[str, Any]):
    kafka = compose["services"]["kafka"]["environment"]
    protocols = dict(pair.split(":") for pair in kafka["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(","))
    for listener in kafka["KAFKA_LISTENERS"].split(","):
        name, _, address = listener.partition("://")
        assert protocols[name] == "SASL_PLAINTEXT" or address.startswith("localhost:"), listener
        if protocols[name] == "SASL_PLAINTEXT":
            users = kafka[f"KAFKA_LISTENER_NAME_{name}_PLAIN_SASL_JAAS_CONFIG"]
            assert all(f'user_{user}="${{' in users for user in ("broker", "ferroflux", "connect"))
    for name in OURS:
        ours = compose["services"][name]["environment"]
        assert ours["FERROFLUX_KAFKA__SASL_PASSWORD"].startswith("${KAFKA_PASSWORD:?")


def test_images_are_of_exact_versions_and_ours_of_this_one(compose: dict[str, Any]):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, service in compose["services"].items():
        image, _, tag = service["image"].rpartition(":")
        if image.startswith("ferroflux"):
            assert tag == project["version"], name
        else:
            assert re.match(r"v?\d+\.\d+", tag), (name, service["image"])
    dockerfile = (ROOT / "deploy/Dockerfile").read_text(encoding="utf-8")
    python = re.search(r"^ARG PYTHON_VERSION=(.*)$", dockerfile, re.MULTILINE)
    assert python is not None
    for base in re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE):
        tag = base.replace("${PYTHON_VERSION}", python[1]).rpartition(":")[2]
        assert re.match(r"\d+\.\d+\.\d+", tag), base


def test_the_connector_reads_as_a_user_of_its_own_who_may_replicate_and_no_more():
    config = json.loads((ROOT / "deploy/debezium/warehouse-postgres.json").read_text(encoding="utf-8"))["config"]
    made = (ROOT / "deploy/debezium/demo/connector.sql").read_text(encoding="utf-8")
    assert f"create user {config['database.user']} with login replication" in made
    assert config["publication.autocreate.mode"] == "disabled", "only an owner could make one"
    granted = re.findall(r"^grant (.*) on (.*) to (\w+);$", made, re.MULTILINE)
    assert granted == [
        ("select", "products, prices, stock", config["database.user"]),
        ("select, insert, delete", "debezium_signal", config["database.user"]),
    ]


def test_the_passwords_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path):
    file = tmp_path / ".env"
    assert write_env(file) == list(NAMES)
    made = file.read_text(encoding="utf-8")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = re.findall(r"^\w+=([0-9a-f]{48})$", made, re.MULTILINE)
    assert len(set(values)) == len(NAMES)
    assert write_env(file) == []
    assert file.read_text(encoding="utf-8") == made
    assert [path.name for path in tmp_path.iterdir()] == [".env"]


def test_what_somebody_wrote_into_the_file_stays(tmp_path: Path):
    file = tmp_path / ".env"
    own = "# ours\nKAFKA_PASSWORD='a b'\nOTHER=1\nQDRANT_API_KEY=\nexport WAREHOUSE_PASSWORD=shop"
    file.write_text(own, encoding="utf-8")
    file.chmod(0o644)
    added = write_env(file)
    assert set(added) == set(NAMES) - {"KAFKA_PASSWORD", "WAREHOUSE_PASSWORD"}
    assert file.read_text(encoding="utf-8").startswith(own + "\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_passwords_are_never_committed():
    assert "/.env" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert "!.env" not in (ROOT / ".dockerignore").read_text(encoding="utf-8").split()


def test_no_secret_is_written_into_the_connector():
    config = json.loads((ROOT / "deploy/debezium/warehouse-postgres.json").read_text(encoding="utf-8"))["config"]
    assert config["database.password"] == "${env:WAREHOUSE_PASSWORD}"
