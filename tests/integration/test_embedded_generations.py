"""Generations inside `ferroflux up`, by its commands: built from the journal, promoted, rolled back, killed, dropped."""

import json
import os
import subprocess
from typing import Any

import pytest

from tests.integration.test_embedded_crash import Installation, command, event
from tests.support.processes import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

NOUNS = ("tornillo", "broca", "martillo", "tubo", "cable", "llave")


@pytest.fixture
def installation(tmp_path):
    made = Installation(tmp_path)
    yield made
    made.client.close()
    made.process.kill()


def types(installation: Installation, line: str, *, status: int = 0) -> str:
    """Run a command as the user of the data directory; what it printed."""
    done = subprocess.run(
        [*command(), *line.split()], env={**os.environ, **installation.environment, "COLUMNS": "200"},
        capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert done.returncode == status, f"ferroflux {line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def built(installation: Installation, line: str) -> dict[str, Any]:
    said = types(installation, f"generation build {line} --json")
    return json.loads(said[said.index("{\n") : said.rindex("}") + 1])


def search(installation: Installation, text: str, **body: Any) -> dict[str, Any]:
    answer = installation.client.post("/v1/search", json={"tenant": "taller", "text": text, "facets": False, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def load(installation: Installation, version: int, products: int = 40) -> None:
    events = [
        event(f"P-{n:03d}", "item", version, {"title": f"{NOUNS[n % 6]} {n} serie {version}", "brand": "Norte"})
        for n in range(products)
    ]
    answer = installation.post(events, wait="indexed")
    assert answer.status_code in {200, 202}, answer.text


def titles(installation: Installation, generation: str = "") -> set[str]:
    found = search(installation, "tornillo serie", limit=100, generation=generation)
    return {hit["item"]["title"] for hit in found["hits"]}


def agree(installation: Installation, *generations: str) -> None:
    """Until all of them show the same products; those that are not live follow a moment later."""
    wait_until(
        lambda: len({frozenset(titles(installation, name)) for name in generations}) == 1,
        timeout=30,
        what=f"{generations} to agree",
    )


def test_a_generation_is_built_promoted_rolled_back_and_survives_a_kill(installation):
    installation.start()
    load(installation, 1)
    load(installation, 2, products=20)
    same = built(installation, "same")
    # Past texts of the journal are folded away; what the products are now is taken over.
    assert (same["origin"], same["products"], same["taken_over"] > 0) == ("changes", 40, True)
    other = built(installation, "minilm --model all-MiniLM-L6-v2")
    assert (other["taken_over"], other["embedded"]) == (0, 40)
    agree(installation, "main", "same", "minilm")

    assert "give --judged" in types(installation, "generation promote minilm", status=1)
    wait_until(lambda: "minilm not" not in types(installation, "generation status"), timeout=60, what="loading")
    assert "all 1 workers answer from it" in types(installation, "generation promote minilm --force test")
    assert search(installation, "tornillo")["generation"] == "minilm"
    # Who waits until a change is searchable waits for the generation that answers.
    load(installation, 3, products=30)
    assert any("serie 3" in title for title in titles(installation))
    agree(installation, "main", "minilm", "same")

    installation.process.kill()
    installation.start()
    assert search(installation, "tornillo")["generation"] == "minilm"
    load(installation, 4, products=10)
    agree(installation, "main", "same", "minilm")

    types(installation, "generation rollback")
    assert search(installation, "tornillo")["generation"] == "main"
    assert "journals the changes" in types(installation, "generation drop main --yes", status=1)
    types(installation, "generation drop minilm --yes")
    assert "minilm" not in types(installation, "generation status")
    assert {path.name.partition(".")[0] for path in (installation.data / "generations").iterdir()} == {"same"}

    installation.process.stop(timeout=60)
    installation.start()
    agree(installation, "main", "same")
    found = json.loads(types(installation, "generation status --json"))
    assert [one["lag"] for one in found["generations"]] == [0, 0]


def test_where_the_journal_was_pruned_a_build_takes_over_the_products_that_there_are(installation):
    installation.start()
    load(installation, 1)
    answer = installation.client.post(
        "/v1/tombstones/gc", json={"older_than_s": 0, "apply": True, "prune_journal": True}
    )
    assert answer.status_code == 200, answer.text
    load(installation, 2, products=5)
    assert "--from documents" in types(installation, "generation build whole --from changes", status=1)
    whole = built(installation, "whole")
    assert (whole["origin"], whole["products"], whole["taken_over"], whole["embedded"]) == ("documents", 40, 40, 0)
    load(installation, 3, products=3)
    agree(installation, "main", "whole")


def test_a_folder_of_the_release_before_keeps_its_float32_layers_until_a_generation_changes_them(tmp_path):
    begun = Installation(tmp_path, {"FERROFLUX_ENCODER__LAYERS": "float32"})
    begun.start()
    load(begun, 1)
    begun.process.stop(timeout=60)
    begun.client.close()

    later = Installation(tmp_path)
    try:
        later.start()
        assert "as the collection was written" in later.process.log.read_text()
        assert titles(later)
        kept = built(later, "kept")
        assert (kept["taken_over"], kept["embedded"]) == (40, 0)
        changed = built(later, "changed --set layers=int8")
        assert (changed["taken_over"], changed["embedded"]) == (0, 40)
        agree(later, "main", "kept", "changed")
    finally:
        later.client.close()
        later.process.kill()
