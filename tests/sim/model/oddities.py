"""One product that a stage cannot take, or that is too large for a topic; everything else must arrive all the same.

The dice are of their own: a schedule without an oddity is the very same as it was before there were any.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from schemas.errors import PoisonError, RecordRefusedError, RecordTooLargeError
from schemas.events.canonical import encode_event
from schemas.identity import SkuKey
from schemas.product.changes import ITEM_FACET, ChangeEvent
from schemas.version import SourceVersion
from tests.sim.model.broker import BULK, CHANGES, DEAD_LETTERS, DOCUMENTS
from tests.sim.model.histories import Arrival, read_of

ODD: Final = SkuKey.of("acme", "ODD")
SMALL_TOPIC: Final = 70_000
LARGE: Final = "x" * 90_000


class Oddity(StrEnum):
    """What is odd about the product ODD, or about a record of it."""

    PLAN = "odd-plan"
    """No document is built of it."""
    ENCODE = "odd-encode"
    """The encoder fails on its text."""
    WRITE = "odd-write"
    """The store refuses its point."""
    PUBLISH = "odd-publish"
    """The documents topic refuses its document."""
    LARGE_DOCUMENT = "large-document"
    """The documents topic does not take its document whole."""
    LARGE_LETTER = "large-letter"
    """A record of it is no event, and the dead-letter topic does not take it whole."""
    LARGE_READ = "large-read"
    """The bulk topic does not take its snapshot read."""


_SMALL: Final[Mapping[Oddity, str]] = {
    Oddity.LARGE_DOCUMENT: DOCUMENTS,
    Oddity.LARGE_LETTER: DEAD_LETTERS,
    Oddity.LARGE_READ: BULK,
}


@dataclass(slots=True)
class Oddities:
    """What of it there is in one schedule, decided by dice of their own."""

    dice: random.Random
    kind: Oddity | None = None
    known: bool = True
    """Whether the processes know beforehand what the topics take, or learn it from a refusal."""
    arrivals: list[Arrival] = field(default_factory=list)

    @classmethod
    def of(cls, seed: int) -> "Oddities":
        dice = random.Random(f"odd {seed}")
        kind = dice.choice(list(Oddity)) if dice.random() < 0.35 else None
        return cls(dice, kind, dice.random() < 0.5)

    def records(self, *, partitions: int, from_s: float, over_s: float, after: int) -> list[Arrival]:
        """Its records: two rows of it, or none."""
        if self.kind is None:
            return []
        made = [self._record(after + n, partitions, from_s + self.dice.uniform(0, over_s)) for n in (1, 2)]
        self.arrivals += made
        return made

    def limit(self, topic: str) -> int | None:
        """What a topic takes, where that is little."""
        return SMALL_TOPIC if self.kind is not None and _SMALL.get(self.kind) == topic else None

    def refusal(self, topic: str, value: bytes | None) -> PoisonError | None:
        """Why a topic will never take a record."""
        limit = self.limit(topic)
        if limit is not None and len(value or b"") > limit:
            return RecordTooLargeError()
        if topic == DOCUMENTS and Oddity.PUBLISH.encode() in (value or b""):
            return RecordRefusedError()
        return None

    @property
    def set_apart(self) -> frozenset[SkuKey]:
        """Products that are kept out: each of their records has a dead letter, and what is stored of them is not judged."""
        kept_out = self.kind in (Oddity.PLAN, Oddity.ENCODE, Oddity.WRITE, Oddity.PUBLISH)
        return frozenset({ODD} if kept_out else ())

    def _record(self, version: int, partitions: int, at_s: float) -> Arrival:
        assert self.kind is not None
        place, topic = self.dice.randrange(partitions), self.dice.choice((CHANGES, CHANGES, BULK))
        if self.kind is Oddity.LARGE_LETTER:
            value = b'{"sku": "ODD", "n": %d, "odd": "%s"}' % (version, LARGE.encode())
            return Arrival(at_s, topic, place, ODD.kafka_key, value, None)
        fields = {"title": f"{self.kind} {version}"}
        if self.kind in (Oddity.LARGE_DOCUMENT, Oddity.LARGE_READ):
            fields["description"] = LARGE
        event = ChangeEvent(ODD, ITEM_FACET, SourceVersion(0, version), fields)
        if self.kind is Oddity.LARGE_READ:
            return read_of(event, at_s, place)
        return Arrival(at_s, topic, place, ODD.kafka_key, encode_event(event), event)
