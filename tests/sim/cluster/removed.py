"""Guards taken away: what stands in for the one step that a switch names."""

from indexer.publish_lock import PublishLock
from schemas.events.outcome import Changes, ParsedRecord
from schemas.events.parser import EventParser
from schemas.identity import SkuKey
from schemas.version import SourceVersion


class NoLock(PublishLock):
    """The publish lock taken away: a revocation waits for nothing, and leases never end."""

    async def revoke(self, grace_s: float) -> bool:
        del grace_s
        return True


class ByArrival(EventParser):
    """The version check taken away: what arrives later counts as newer."""

    arrived = 0

    def parse(self, key: bytes | None, value: bytes | None) -> ParsedRecord:
        parsed = super().parse(key, value)
        if isinstance(parsed, Changes):
            ByArrival.arrived += 1
            for event in parsed.events:
                object.__setattr__(event, "version", SourceVersion(0, ByArrival.arrived))
        return parsed


async def nothing_moved(documents: object) -> list[SkuKey]:
    del documents
    return []
