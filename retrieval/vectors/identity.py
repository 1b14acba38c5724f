"""The collection's own id: made with it and kept beside its model's record, so that another one under its name is noticed.

A collection that an earlier release made has none, and is given one when it is first asked for it. That one is derived from
its name, so that processes which ask at the same moment agree; one that is made from now on has an id that no other has.
"""

from __future__ import annotations

import uuid
from typing import Final

IDENTITY_KEY: Final = "collection_id"
"""Under this key the collection's metadata holds the id."""

_ADOPTED: Final = uuid.UUID("a2f0b7f5-6b0c-4f4e-9a52-6f0f6c1f7d10")


def new_identity() -> str:
    """The id of a collection that is made now."""
    return str(uuid.uuid4())


def adopted_identity(name: str) -> str:
    """The id of a collection that was made without one."""
    return str(uuid.uuid5(_ADOPTED, name))
