"""Generations on real Kafka: built while changes flow, promoted and rolled back under queries, dropped, and built from documents."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import asynccontextmanager

import httpx
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete

from retrieval.generations import transitions
from retrieval.generations.kafka import KafkaGenerationStore
from retrieval.generations.view import view_of
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.product.merge import ItemState
from schemas.records.generations import MAIN, Generation, GenerationStage
from schemas.topics import KafkaSettings
from tests.support.kafka.clients import Record, admin, append, end_offsets, read_all
from tests.support.stack.histories import history
from tests.support.stack.operator import Operator
from tests.support.stack.oracle import oracle_of
from tests.support.stack.stack import Stack
from tests.support.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

QUERIES = ("tornillo inox", "broca acero", "martillo rojo", "tubo pvc", "cable reforzado", "llave", "candado corto")


def installation(kafka, stack_of, folder) -> tuple[Stack, Operator]:
    stack = stack_of(kafka)
    for name in ("indexer", "replica"):
        stack.start(name)
    # What a busy machine cannot answer in time is refused, which says nothing of generations: here it may take long.
    stack.start("api", environment={"FERROFLUX_HTTP__ANSWER_WITHIN_S": "8"})
    stack.wait_ready("indexer", "replica", "api")
    return stack, Operator(folder, stack.environment)


def store_of(stack: Stack) -> KafkaGenerationStore:
    return KafkaGenerationStore(KafkaSettings(bootstrap=stack.kafka.bootstrap, topics=stack.topics))


async def manifest_of(stack: Stack, name: str) -> Generation:
    return view_of(await store_of(stack).records()).manifests[name]


async def build(stack: Stack, operator: Operator, name: str, *options: str) -> dict:
    on = f"--kafka {stack.kafka.bootstrap}"
    said = await operator.types(f"generation build {name} {on} --json {' '.join(options)}")
    return printed_json(said)


def printed_json(said: str) -> dict:
    """What --json printed, below the lines of the log."""
    return json.loads(said[said.index("{\n") :])


async def workers_ready(stack: Stack, *names: str) -> None:
    """Until the API has loaded these generations."""
    async with httpx.AsyncClient() as client:

        async def loaded() -> bool:
            found = (await client.get(stack.url("api", "/v1/status"))).json()["generation"]["loaded"]
            return all(found.get(name) == "" for name in names)

        async with asyncio.timeout(60):
            while not await loaded():  # noqa: ASYNC110 - another process is waited for
                await asyncio.sleep(0.1)


async def answers(client: httpx.AsyncClient, text: str, generation: str = "") -> tuple[str, list]:
    response = await client.post(
        "/v1/search", json={"tenant": "acme", "text": text, "limit": 20, "facets": False, "generation": generation}
    )
    assert response.status_code == 200, response.text
    found = response.json()
    assert found["degraded"] == [], found["degraded"]
    return found["generation"], [(hit["item"]["sku"], hit["score"], str(hit["signals"])) for hit in found["hits"]]


async def states_of(stack: Stack, collection: str) -> dict[SkuKey, bytes]:
    found = {}
    async with stack.vector_index(collection) as index:
        async for page in index.scan():
            found.update({key: payload.state for key, payload in page.items()})
    return found


async def has_converged(stack: Stack, manifest: Generation, oracle: Mapping[SkuKey, ItemState]) -> bool:
    """Whether the generation's points are the merge of all events, and its newest documents are of them."""
    wanted = {key: state.to_bytes() for key, state in oracle.items()}
    if await states_of(stack, manifest.collection) != wanted:
        return False
    newest = {}
    for record in await read_all(stack.kafka.bootstrap, manifest.documents):
        document = SearchDocument.model_validate_json(record.value)
        newest[document.key] = document
    return newest.keys() == wanted.keys() and all(
        newest[key].deleted == (not state.alive) for key, state in oracle.items()
    )


async def until(condition) -> None:
    async with asyncio.timeout(90):
        while not await condition():  # noqa: ASYNC110 - other processes are waited for
            await asyncio.sleep(0.25)


@asynccontextmanager
async def flow_of(stack: Stack, records: list[Record]):
    """Changes that come while something else happens."""

    async def flow() -> None:
        for start in range(0, len(records), 20):
            await append(stack.kafka.bootstrap, stack.topics.changes[0], records[start : start + 20])
            await asyncio.sleep(0.05)

    flowing = asyncio.create_task(flow())
    yield
    await flowing


async def test_a_generation_is_built_while_changes_flow_then_promoted_rolled_back_and_dropped(
    kafka, stack_of, tmp_path
):
    stack, operator = installation(kafka, stack_of, tmp_path)
    on = f"--kafka {kafka.bootstrap}"
    records = history(7, skus=120, changes=1_600)
    before, meanwhile, after = records[:600], records[600:1_200], records[1_200:]
    poison = [Record(b"acme/X", b"{broken")]
    await append(kafka.bootstrap, stack.topics.changes[0], [*before, *poison])
    await stack.settled()

    async with flow_of(stack, meanwhile):
        built = await build(stack, operator, "small", "--set truncate_dimension=32")
    assert (built["origin"], built["taken_over"]) == ("changes", 0)
    small = await manifest_of(stack, "small")

    # Nothing is promoted without judged queries, unless somebody says why.
    refused = await operator.types(f"generation promote small {on}", status=1)
    assert "judged" in refused
    await workers_ready(stack, MAIN, "small")
    promoted = printed_json(await operator.types(f"generation promote small --force first-one --json {on}"))
    assert promoted == {"live": "small", "serving": 1, "workers": 1}
    async with httpx.AsyncClient(base_url=stack.url("api")) as client:
        assert (await answers(client, "tornillo"))[0] == "small"
        assert (await client.get("/readyz")).json()["generation"] == "small"
        assert (await client.get(stack.url("indexer", "/readyz"))).json()["live"] == "small"

        # Both are kept up to date, and the poison is buried once.
        await append(kafka.bootstrap, stack.topics.changes[0], after)
        oracle = oracle_of(records)
        await until(lambda: has_converged(stack, small, oracle))
        await until(lambda: main_has_converged(stack, oracle))
        assert len(await read_all(kafka.bootstrap, stack.topics.dead_letters)) == 1

        began = time.monotonic()
        await operator.types(f"generation rollback {on}")
        assert (await answers(client, "tornillo"))[0] == MAIN
        assert (
            time.monotonic() - began < 30
        )  # the command's own start and its waiting for the workers' reports included

        assert "is live" in await operator.types(f"generation drop {MAIN} --yes {on}", status=1)
        await operator.types(f"generation drop small --yes {on}")
        view = view_of(await store_of(stack).records())
        assert (view.names(), view.live, view.pointer.previous) == ((MAIN,), MAIN, None)
        assert "no generation" in (await operator.types(f"generation rollback {on}", status=1))
        assert (await answers(client, "tornillo"))[0] == MAIN
    await eventually(lambda: not list((stack.text_directory / "generations").iterdir()), timeout=20)
    async with admin(kafka.bootstrap) as client:
        assert small.documents not in set(await client.list_topics())
    stack.assert_alive()


async def main_has_converged(stack: Stack, oracle: Mapping[SkuKey, ItemState]) -> bool:
    return await states_of(stack, "catalogue") == {key: state.to_bytes() for key, state in oracle.items()}


async def test_the_generation_of_the_settings_can_be_left_for_good(kafka, stack_of, tmp_path):
    stack, operator = installation(kafka, stack_of, tmp_path)
    on = f"--kafka {kafka.bootstrap}"
    first, second = history(3, skus=60, changes=500), history(4, skus=60, changes=300)
    await append(kafka.bootstrap, stack.topics.changes[0], first)
    await stack.settled()
    built = await build(stack, operator, "same")
    assert built["taken_over"] > built["embedded"], "texts of the past are embedded, the present ones are taken over"
    same = await manifest_of(stack, "same")
    await workers_ready(stack, MAIN, "same")
    await operator.types(f"generation promote same --force test {on}")
    await operator.types(f"generation drop {MAIN} --yes {on}")
    assert view_of(await store_of(stack).records()).stage(MAIN) is GenerationStage.DROPPED

    # Whoever starts afresh starts with what is live, although the settings name another collection.
    for name in ("indexer-2", "api-2"):
        stack.start(name.removesuffix("-2"), name)
    stack.wait_ready("indexer-2", "api-2")
    await append(kafka.bootstrap, stack.topics.changes[0], second)
    await until(lambda: has_converged(stack, same, oracle_of([*first, *second])))
    async with httpx.AsyncClient(base_url=stack.url("api-2")) as client:
        assert (await answers(client, "tornillo"))[0] == "same"
    async with admin(kafka.bootstrap) as client:
        assert stack.topics.documents not in set(await client.list_topics())
    stack.assert_alive()


async def test_where_the_change_log_was_cut_a_build_starts_from_the_documents(kafka, stack_of, tmp_path):
    stack, operator = installation(kafka, stack_of, tmp_path)
    on, changes = f"--kafka {kafka.bootstrap}", stack.topics.changes[0]
    first, second = history(5, skus=80, changes=700), history(6, skus=80, changes=300)
    await append(kafka.bootstrap, changes, first)
    await stack.settled()
    async with admin(kafka.bootstrap) as client:
        ends = await end_offsets(kafka.bootstrap, changes)
        cut = {TopicPartition(changes, number): RecordsToDelete(before_offset=end) for number, end in ends.items()}
        await client.delete_records(cut, timeout_ms=10_000)
    assert "--from documents" in await operator.types(f"generation build whole --from changes {on}", status=78)

    async with flow_of(stack, second):
        built = await build(stack, operator, "whole")
    assert built["origin"] == "documents"
    assert built["taken_over"] > 0
    assert built["without_state"] == 0
    manifest = await manifest_of(stack, "whole")
    await until(lambda: has_converged(stack, manifest, oracle_of([*first, *second])))

    # Judged queries of both, through the API; the same model finds the same, so the gate lets it through.
    await workers_ready(stack, MAIN, "whole")
    alive = sorted(str(key.sku) for key, state in oracle_of([*first, *second]).items() if state.alive)
    judged = [{"id": sku, "query": sku, "judgments": {sku: 3}} for sku in alive[:8]]
    (tmp_path / "judged.jsonl").write_text("\n".join(map(json.dumps, judged)), encoding="utf-8")
    asked = f"whole --judged judged.jsonl --url {stack.url('api')} {on}"
    said = await operator.types(f"generation compare {asked}")
    assert "whole can be promoted" in said
    assert "ndcg@10" in said
    await operator.types(f"generation promote {asked}")
    pointer = view_of(await store_of(stack).records()).pointer
    assert (pointer.live, pointer.forced) == ("whole", "")
    assert "whole is live" in await operator.types(f"generation status {on}")

    # An interrupted command, given again, goes on; here there is nothing left to do.
    again = await build(stack, operator, "whole")
    assert (again["embedded"], again["taken_over"]) == (0, 0)


async def test_ten_promotions_and_rollbacks_under_fifty_queries_a_second_fail_and_mix_none(kafka, stack_of, tmp_path):
    stack, operator = installation(kafka, stack_of, tmp_path)
    await append(kafka.bootstrap, stack.topics.changes[0], history(9, skus=300, changes=1_500))
    await stack.settled()
    await build(stack, operator, "other", "--set truncate_dimension=32")
    await workers_ready(stack, MAIN, "other")

    async with httpx.AsyncClient(base_url=stack.url("api"), timeout=10) as client:
        expected = {
            (generation, text): (await answers(client, text, generation))[1]
            for generation in (MAIN, "other")
            for text in QUERIES
        }
        assert all(expected[MAIN, text] != expected["other", text] for text in QUERIES), "they must be told apart"
        counted: Counter[str] = Counter()
        mixed: list[str] = []

        async def ask(number: int) -> None:
            text = QUERIES[number % len(QUERIES)]
            generation, found = await answers(client, text)
            counted[generation] += 1
            if found != expected[generation, text]:
                mixed.append(f"{generation}: {text}")

        moves = asyncio.create_task(_ten_moves(stack))
        asking: list[asyncio.Task[None]] = []
        began = time.monotonic()
        while not moves.done():
            asking.append(asyncio.create_task(ask(len(asking))))
            await asyncio.sleep(max(0.0, began + len(asking) / 50 - time.monotonic()))
        seconds = time.monotonic() - began
        await asyncio.gather(*asking)
        await moves
    assert mixed == []
    assert len(asking) >= 45 * seconds, f"{len(asking)} queries in {seconds:.1f} s"
    assert min(counted[MAIN], counted["other"]) > 50, counted
    print(f"\n{len(asking)} queries in {seconds:.1f} s, {dict(counted)}, none failed, none mixed")


async def _ten_moves(stack: Stack) -> None:
    """Ten promotions, each rolled back, a second apart, on the records themselves; each is waited for at the API."""
    store = store_of(stack)
    async with httpx.AsyncClient(base_url=stack.url("api")) as client:
        for _ in range(10):
            for wanted, move in (("other", "promote"), (MAIN, "roll_back")):
                epoch = view_of(await store.records()).pointer.epoch
                options = {"expected_epoch": epoch, "now_us": time.time_ns() // 1000}
                change = (
                    transitions.promote("other", **options) if move == "promote" else transitions.roll_back(**options)
                )
                await store.commit(change)
                async with asyncio.timeout(5):
                    while (await client.get("/v1/status")).json()["generation"]["answering"] != wanted:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
                await asyncio.sleep(1)
