"""Products of which no item event was ever seen: their prices and stocks wait in the vector store, and they have no document.

Everything that goes from the store to the documents topic passes them over: the pipeline, repairs, the verifier, rebuilds.
Were a document made of them, a store that was lost would delete, price by price, what the topic still holds.
"""

from __future__ import annotations

from retrieval.vectors.port import PointPayload
from schemas.merge import ItemState


def awaits_item(payload: PointPayload) -> bool:
    """Whether a stored product waits for its item; of a state that cannot be read nothing is said."""
    if payload.alive:
        return False
    try:
        return not ItemState.from_bytes(payload.state).known
    except Exception:  # noqa: BLE001 - whoever works on the state sets it apart, with the reason
        return False
