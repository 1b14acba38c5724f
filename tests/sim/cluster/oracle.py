"""The oracle: the merge of all events, and everything that must equal it when the chaos is over.

A product whose tombstone was collected begins anew. What it may hold then is the merge of what arrived since, with or without
what was on its way at that moment; and whatever of these it is, all four places must hold the same.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence

from query_api.replica.tailing.decode import decode
from query_api.replica.tailing.log import LogRecord
from retrieval.passages import passage_text, text_hash
from retrieval.text.content import content_of
from retrieval.text.memory import MemoryTextStore
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.documents import SearchDocument
from schemas.identity import SkuKey
from schemas.product.building import build_document, state_digest
from schemas.product.changes import ChangeEvent
from schemas.product.merge import ItemState, merge_all
from tests.sim.cluster.identities import without_restored
from tests.sim.model.broker import BULK, CHANGES, DEAD_LETTERS, DOCUMENTS, Broker
from tests.sim.model.histories import Arrival
from tests.sim.model.store import ModelStore, Point


def differences(
    arrivals: Sequence[Arrival],
    store: ModelStore,
    broker: Broker,
    text: MemoryTextStore,
    *,
    poison: str,
    set_apart: Collection[SkuKey] = (),
) -> list[str]:
    """Where vector store, documents topic, live replica, a replica built now, and dead letters are not as they must be.

    Of the products that are `set_apart`, every record must have a dead letter; what is held of them is not judged. `poison` is
    the title that the replica's present version cannot analyse.
    """
    told = {arrival.event.key for arrival in arrivals if arrival.event is not None}
    live = {key: entry.document for key, entry in text.commit.entries.items()}
    built = _compacted(broker)
    wrong = []
    for key in sorted(told.difference(set_apart)):
        point, possible = store.points.get(key), _possible(key, arrivals, store)
        wrong += in_store(key, possible, point)
        for where, held in (("the live replica", live.get(key)), ("a replica built now", built.get(key))):
            wrong += in_replica(where, key, point, held, collected=key in store.collected_at)
    for name, extra in (("vector store", store.points.keys() - told), ("replica", live.keys() - told)):
        wrong += [f"{name} holds {key}, of which no event told" for key in sorted(extra)]
    return wrong + replica_apart(text, poison) + _told(broker) + _dead_letters(arrivals, broker, set_apart)


def replica_apart(text: MemoryTextStore, poison: str) -> list[str]:
    """Where what a replica holds without some part, what it says of it, and what its present version cannot analyse differ."""
    entries = text.commit.entries
    noted = {entry.key for entry in text.commit.ledger.entries if not entry.settled}
    marked = {str(key) for key, entry in entries.items() if entry.mark is not None}
    living = {str(key): entry for key, entry in entries.items() if not entry.document.deleted}
    lacking = {key for key, entry in living.items() if entry.content != content_of(entry.document)}
    mended = {key for key in marked & living.keys() if living[key].document.title != poison}
    return [
        *(f"{key} lacks something and is not set apart" for key in sorted(lacking - marked)),
        *(f"{key} is set apart and whole" for key in sorted(marked - lacking)),
        *(f"{key} was not tried again by a version that can" for key in sorted(mended)),
        *(f"{key} is set apart and not in the ledger" for key in sorted(marked - noted)),
        *(f"{key} is in the ledger and not set apart" for key in sorted(noted - marked)),
    ]


def _told(broker: Broker) -> list[str]:
    letters = {row.value.decode() for row in broker.logs[DEAD_LETTERS, 0] if row.value is not None}
    return [f"no dead letter of {key} at {place}" for place, key in broker.world.apart.items() if place not in letters]


def in_store(key: SkuKey, possible: Sequence[ItemState | None], point: Point | None) -> list[str]:
    """Where the vector store holds none of the states that a product may have (None: it may be forgotten)."""
    if point is None:
        return [] if None in possible else [f"vector store lost {key}"]
    held = without_restored(ItemState.from_bytes(point.payload.state))
    if held not in possible:
        resurrected = " (resurrected)" if held.alive and not any(s and s.alive for s in possible) else ""
        return [f"vector store holds another state of {key}{resurrected}"]
    if point.payload.alive != held.alive:
        return [f"vector store takes {key} for {'alive' if point.payload.alive else 'dead'}"]
    wanted = text_hash(passage_text(build_document(key, held, rev=1))) if held.alive else ""
    if held.alive and (point.payload.provenance_of(TEXT_VECTOR).hash, point.text_hash_of_vector) != (wanted, wanted):
        return [f"vector store holds the vector of another text of {key}"]
    return []


def in_replica(
    where: str, key: SkuKey, point: Point | None, held: SearchDocument | None, *, collected: bool = False
) -> list[str]:
    """Where a replica holds something else than the vector store."""
    if point is None:
        # A verifier that looked between a collection's two effects has published the tombstone once more: the next removes it.
        return [] if held is None or held.deleted else [f"{where} holds {key}, which is forgotten"]
    if not ItemState.from_bytes(point.payload.state).known:
        # Since it was forgotten, only a price or a stock came, perhaps: the same tombstone may stand there.
        left_over = held is not None and held.deleted and collected
        return [] if held is None or left_over else [f"{where} holds {key}, of which no item event told"]
    if held is None:
        return [f"{where} lost {key}"]
    state = ItemState.from_bytes(point.payload.state)
    if held.state != state_digest(state) or held.deleted == state.alive:
        return [f"{where} holds another state of {key}"]
    return [f"{where} holds another revision of {key}"] if held.rev != point.payload.rev else []


def _possible(key: SkuKey, arrivals: Sequence[Arrival], store: ModelStore) -> list[ItemState | None]:
    mine = [arrival for arrival in arrivals if arrival.event is not None and arrival.event.key == key]
    collected_at = store.collected_at.get(key)
    if collected_at is None:
        return [merge_all(_events(mine))]
    since = [arrival for arrival in mine if arrival.at_s >= collected_at]
    on_the_way = [arrival for arrival in mine if store.log_began_at <= arrival.at_s < collected_at]
    return [
        merge_all(_events([*since, *some])) if since or some else None
        for count in range(len(on_the_way) + 1)
        for some in itertools.combinations(on_the_way, count)
    ]


def _events(arrivals: Iterable[Arrival]) -> list[ChangeEvent]:
    return [arrival.event for arrival in arrivals if arrival.event is not None]


def _compacted(broker: Broker) -> dict[SkuKey, SearchDocument]:
    """What a new replica gets from a topic that was compacted to the last record of each key."""
    last = {row.key: row for row in broker.retained(DOCUMENTS)}
    decoded = decode(LogRecord(row.partition, row.offset, row.key, row.value) for row in last.values())
    return {document.key: document for document in decoded.documents}


def _dead_letters(arrivals: Sequence[Arrival], broker: Broker, set_apart: Collection[SkuKey]) -> list[str]:
    poison = {arrival.value for arrival in arrivals if arrival.event is None or arrival.event.key in set_apart}
    wanted = {
        row.coordinates
        for (topic, _), rows in broker.logs.items()
        if topic in (CHANGES, BULK)
        for row in rows
        if row.value in poison
    }
    got = {row.value.decode() for row in broker.logs[DEAD_LETTERS, 0] if row.value is not None}
    got = {place for place in got if not place.startswith(f"{DOCUMENTS}/")}
    return [
        *(f"no dead letter of {place}" for place in sorted(wanted - got)),
        *(f"a dead letter of {place}, which is well" for place in sorted(got - wanted)),
    ]
