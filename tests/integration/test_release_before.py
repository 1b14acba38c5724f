"""What the release before left behind opens unasked: a folder of `ferroflux up`, and the topics of an installation."""

from __future__ import annotations

import json
import tarfile
import time
from pathlib import Path

import pytest

from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from tests.integration.test_embedded_crash import Installation
from tests.support.kafka.clients import Record, append, create_topic
from tests.support.processes import wait_until
from tests.support.stack.oracle import assert_converged, newest_documents, oracle_of

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

RECORDED = Path(__file__).parent.parent / "fixtures" / "release-before"
LIVING = {"T-100", "C-200", "P-300", "D-400"}
KEY = SkuKey.of("acme", "T-100")


def test_a_folder_of_the_release_before_opens_is_searched_and_takes_changes(tmp_path):
    with tarfile.open(RECORDED / "up.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    installation = Installation(tmp_path)
    installation.start()
    try:
        client = installation.client

        def search(query: str) -> dict[str, float]:
            answer = client.get("/v1/search", params={"q": query, "tenant": "acme"}).raise_for_status()
            return {hit["item"]["sku"]: hit["item"]["price"] for hit in answer.json()["hits"]}

        (main,) = client.get("/v1/generations").raise_for_status().json()["generations"]
        assert main["name"] == "main"
        assert all(main[part] for part in ("collection", "documents", "encoder", "revision", "text_schema", "policy"))
        assert next(iter(search("taladro para concreto"))) == "T-100"
        assert "E-500" not in search("escalera")
        assert client.get("/v1/items/E-500", params={"tenant": "acme"}).status_code == 404
        change = {"tenant": "acme", "sku": "T-100", "facet": "price", "version": time.time_ns() // 1_000}
        older = change | {"version": 5, "fields": {"price": 1.0}}
        newer = change | {"fields": {"price": 1399.0}}
        body = "\n".join(json.dumps(event | {"op": "upsert"}) for event in (newer, older))
        client.post(
            "/v1/changes?wait=indexed", content=body, headers={"content-type": "application/x-ndjson"}
        ).raise_for_status()
        wait_until(lambda: search("taladro para concreto")["T-100"] == 1399.0, timeout=20, what="the new price")
        assert search("clavo concreto pintura disco").keys() | search("taladro").keys() == LIVING
    finally:
        installation.client.close()
        installation.process.stop()


async def test_topics_of_the_release_before_are_read_and_outlived(kafka, stack_of):
    rows = [json.loads(line) for line in (RECORDED / "topics.jsonl").read_text().splitlines()]
    stack = stack_of(kafka)
    places = {
        "catalog.documents": stack.topics.documents,
        "warehouse.changes": stack.topics.changes[0],
        "warehouse.changes.bulk": stack.topics.bulk,
    }
    changes: list[Record] = []
    for recorded, topic in places.items():
        policy = {"cleanup.policy": "compact"} if topic == stack.topics.documents else {}
        await create_topic(kafka.bootstrap, topic, partitions=4, config=policy)
        records = [Record(row["key"].encode(), row["value"].encode()) for row in rows if row["topic"] == recorded]
        assert records, recorded
        await append(kafka.bootstrap, topic, records)
        changes += records if topic != stack.topics.documents else []
    before = SearchDocument.model_validate_json(
        next(row["value"] for row in rows if row["topic"] == "catalog.documents" and row["key"] == str(KEY))
    )
    stack.start("indexer")
    stack.start("replica")
    stack.wait_ready("indexer", "replica")
    await stack.settled()
    await assert_converged(stack, oracle_of(changes))
    after = (await newest_documents(stack))[KEY]
    assert after.rev > before.rev
    assert (after.title, after.price, after.stock) == (before.title, before.price, before.stock)
