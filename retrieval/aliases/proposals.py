"""The port for learned aliases: whoever mines logs or catalogues proposes entries, a person approves them.

A proposal is an ordinary entry with status `proposed`: it travels, is listed and is decided like any other, and changes no
search until it is approved.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

from schemas.aliases import AliasRecord, AliasStatus


class AliasProposer(Protocol):
    """Something that learns aliases."""

    @property
    def name(self) -> str:
        """Who proposes; the `source` of its entries."""
        ...

    def proposals(self) -> AsyncIterator[AliasRecord]:
        """Entries that it has reason for, the best first, each with its evidence in words."""
        ...


class AliasPublisher(Protocol):
    """Where entries go: the topic `catalog.aliases`."""

    async def publish(self, records: list[AliasRecord]) -> None:
        """Send entries; when it returns they are in the log."""
        ...


async def propose(proposer: AliasProposer, publisher: AliasPublisher, known: frozenset[str], *, most: int) -> int:
    """Publish up to `most` proposals whose keys are not `known`; what was decided once is not asked again. How many."""
    fresh: list[AliasRecord] = []
    async for record in proposer.proposals():
        if len(fresh) >= most:
            break
        if record.key not in known:
            fresh.append(record.model_copy(update={"status": AliasStatus.PROPOSED, "source": proposer.name}))
    if fresh:
        await publisher.publish(fresh)
    return len(fresh)
