"""compose.yaml and the Dockerfile hold together: the specification's schema, the files they name, the start order."""

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

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


def test_no_secret_is_written_into_the_connector():
    config = json.loads((ROOT / "deploy/debezium/warehouse-postgres.json").read_text(encoding="utf-8"))["config"]
    assert config["database.password"] == "${env:WAREHOUSE_PASSWORD}"
