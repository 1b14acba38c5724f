"""The connector configurations that `deploy/` ships, with a test's own topic and slot put in."""

import json
from typing import Any

from tests.support.data import ROOT

_DEPLOYED = ROOT / "deploy" / "debezium"


def deployed_connector(name: str, *, topic: str, database: str) -> dict[str, str]:
    """The configuration of `deploy/debezium/<name>.json`, its changes routed to `topic`."""
    config: dict[str, Any] = json.loads((_DEPLOYED / f"{name}.json").read_text())["config"]
    # A slot belongs to the whole server and a publication to its database: each test's warehouse has its own.
    return config | {"transforms.route.replacement": topic, "slot.name": f"slot_{database}"}
