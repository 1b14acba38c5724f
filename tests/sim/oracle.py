"""The oracle: the merge of all events, and everything that must equal it when the chaos is over."""

from collections.abc import Sequence

from query_api.replica.decode import decode
from query_api.replica.log.port import LogRecord
from retrieval.passages import passage_text, text_hash
from retrieval.text.memory import MemoryTextStore
from schemas.building import build_document, state_digest
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.merge import ItemState, merge_all
from tests.sim.broker import CHANGES, DEAD_LETTERS, DOCUMENTS, Broker
from tests.sim.histories import Arrival
from tests.sim.store import ModelStore


def differences(arrivals: Sequence[Arrival], store: ModelStore, broker: Broker, text: MemoryTextStore) -> list[str]:
    """Where vector store, documents topic, live replica, a replica built now, and dead letters are not as they must be."""
    events = [arrival.event for arrival in arrivals if arrival.event is not None]
    truth = {key: merge_all(e for e in events if e.key == key) for key in {event.key for event in events}}
    live = {key: entry.document for key, entry in text.commit.entries.items()}
    wrong = []
    for key, state in sorted(truth.items()):
        wrong += _in_store(key, state, store)
        point = store.points.get(key)
        rev = point.payload.rev if point else 0
        wrong += _document("the live replica", key, state, rev, live.get(key))
        wrong += _document("a replica built now", key, state, rev, _compacted(broker).get(key))
    for name, extra in (("vector store", store.points.keys() - truth.keys()), ("replica", live.keys() - truth.keys())):
        wrong += [f"{name} holds {key}, of which no event told" for key in sorted(extra)]
    return wrong + _dead_letters(arrivals, broker)


def _in_store(key: SkuKey, state: ItemState, store: ModelStore) -> list[str]:
    point = store.points.get(key)
    if point is None:
        return [f"vector store lost {key}"]
    held = ItemState.from_bytes(point.payload.state)
    if held != state:
        resurrected = " (resurrected)" if held.alive and not state.alive else ""
        return [f"vector store holds another state of {key}{resurrected}"]
    if point.payload.alive != state.alive:
        return [f"vector store takes {key} for {'alive' if point.payload.alive else 'dead'}"]
    wanted = text_hash(passage_text(build_document(key, state, rev=1))) if state.alive else ""
    if state.alive and (point.payload.text_hash, point.text_hash_of_vector) != (wanted, wanted):
        return [f"vector store holds the vector of another text of {key}"]
    return []


def _document(where: str, key: SkuKey, state: ItemState, rev: int, held: SearchDocument | None) -> list[str]:
    if held is None:
        return [f"{where} lost {key}"]
    if held.state != state_digest(state) or held.deleted == state.alive:
        return [f"{where} holds another state of {key}"]
    return [f"{where} holds another revision of {key}"] if held.rev != rev else []


def _compacted(broker: Broker) -> dict[SkuKey, SearchDocument]:
    """What a new replica gets from a topic that was compacted to the last record of each key."""
    last = {row.key: row for (topic, _), rows in broker.logs.items() if topic == DOCUMENTS for row in rows}
    decoded = decode(LogRecord(row.partition, row.offset, row.key, row.value) for row in last.values())
    return {document.key: document for document in decoded.documents}


def _dead_letters(arrivals: Sequence[Arrival], broker: Broker) -> list[str]:
    poison = {arrival.value for arrival in arrivals if arrival.event is None}
    wanted = {
        row.coordinates
        for (topic, _), rows in broker.logs.items()
        if topic == CHANGES
        for row in rows
        if row.value in poison
    }
    got = {row.value.decode() for row in broker.logs[DEAD_LETTERS, 0] if row.value is not None}
    return [
        *(f"no dead letter of {place}" for place in sorted(wanted - got)),
        *(f"a dead letter of {place}, which is well" for place in sorted(got - wanted)),
    ]
