"""The merge oracle: what every store must hold after any history, computed from the events alone, and the comparison.

Whatever was killed, repeated, reordered or delivered twice meanwhile: the point of every SKU holds exactly the merge of
all its events, and the newest document of the log and the replica's document are built from exactly that state.
"""

from collections.abc import Iterable, Mapping

from schemas.documents import SearchDocument
from schemas.events.admission import Changes
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.product.building import state_digest
from schemas.product.changes import ChangeEvent
from schemas.product.merge import ItemState, merge_all
from tests.support.kafka.clients import Record, read_all
from tests.support.stack.stack import Stack

Oracle = Mapping[SkuKey, ItemState]


def oracle_of(records: Iterable[Record]) -> Oracle:
    """Merge the good records among these, by product."""
    parser = EventParser()
    by_key: dict[SkuKey, list[ChangeEvent]] = {}
    for record in records:
        parsed = parser.parse(record.key, record.value)
        for event in parsed.events if isinstance(parsed, Changes) else ():
            by_key.setdefault(event.key, []).append(event)
    return {key: merge_all(events) for key, events in by_key.items()}


async def assert_converged(stack: Stack, oracle: Oracle) -> None:
    """Compare the vector store, the documents topic and the replica with the oracle, SKU by SKU."""
    points = await _points(stack)
    documents = await newest_documents(stack)
    reader = stack.text_index()
    held = dict(reader.revisions())
    replica = reader.fetch(list(held))

    assert points.keys() == oracle.keys(), _difference("points", points, oracle)
    # Of a product that no item event told of, the store keeps what came, and nobody else hears of it.
    waiting = sum(not state.known for state in oracle.values())
    oracle = {key: state for key, state in oracle.items() if state.known}
    assert documents.keys() == oracle.keys(), _difference("newest documents", documents, oracle)
    assert replica.keys() == oracle.keys(), _difference("documents of the replica", replica, oracle)
    for key, state in oracle.items():
        expected = state.to_bytes()
        assert points[key] == expected, f"point of {key} is not the merge of its events"
        digest = state_digest(state)
        for place, document in (("log", documents[key]), ("replica", replica[key])):
            assert document.state == digest, f"{place}: document of {key} (rev {document.rev}) is of another state"
            assert document.deleted == (not state.alive), f"{place}: life of {key}"
        assert held[key] == documents[key].rev, f"{key}: the replica holds another revision than the log"
    counts = reader.counts()
    alive = sum(state.alive for state in oracle.values())
    assert (counts.alive, counts.dead) == (alive, len(oracle) - alive), "a document is there twice, or not at all"
    async with stack.vector_index() as index:
        stored = await index.counts()
    assert (stored.alive, stored.dead) == (alive, len(oracle) - alive + waiting)


async def newest_documents(stack: Stack) -> dict[SkuKey, SearchDocument]:
    """What a replica built from the log alone would hold: the last document of every key."""
    newest: dict[SkuKey, SearchDocument] = {}
    for record in await read_all(stack.kafka.bootstrap, stack.topics.documents):
        document = SearchDocument.model_validate_json(record.value)
        newest[document.key] = document
    return newest


async def _points(stack: Stack) -> dict[SkuKey, bytes]:
    points: dict[SkuKey, bytes] = {}
    async with stack.vector_index() as index:
        async for page in index.scan():
            points.update({key: payload.state for key, payload in page.items()})
    return points


def _difference(what: str, have: Mapping[SkuKey, object], want: Oracle) -> str:
    missing = sorted(map(str, want.keys() - have.keys()))[:5]
    surplus = sorted(map(str, have.keys() - want.keys()))[:5]
    return f"{what}: {len(have)} of {len(want)}; missing {missing}, surplus {surplus}"
