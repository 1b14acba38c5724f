"""The port `Operations` on an installation's own stores and logs: what every kind of installation does alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Final

from ferroflux.operations.generations.service import GenerationService
from ferroflux.operations.port import (
    BuildBody,
    HandoverRequest,
    Json,
    JudgedBody,
    Letters,
    OnProgress,
    Replay,
    ResetRequest,
    TombstoneGcRequest,
)
from indexer.deadletters.letter import LetterId
from indexer.deadletters.service import DeadLetterService, Settled
from indexer.sources.service import SourceService
from indexer.tombstone_gc import GcCounts

_FOLLOWED_WITHIN_S: Final = 20.0


class DirectOperations(ABC):
    """Dead letters, sources and generations. What reads the log and writes the stores is each kind's own."""

    @property
    @abstractmethod
    def dead_letters(self) -> DeadLetterService:
        """The installation's dead letters."""

    @property
    @abstractmethod
    def sources(self) -> SourceService:
        """Who feeds which facet."""

    @property
    @abstractmethod
    def generation_service(self) -> GenerationService:
        """The installation's generations."""

    @abstractmethod
    async def replay(self, asked: Replay, on_progress: OnProgress) -> Json:
        """As the port says."""

    @abstractmethod
    async def tombstone_gc(self, asked: TombstoneGcRequest) -> Json:
        """As the port says."""

    @abstractmethod
    async def build(self, asked: BuildBody, on_progress: OnProgress) -> Json:
        """As the port says."""

    async def letters(self, asked: Letters, limit: int) -> Json:
        """From the topic or the file."""
        found = await self.dead_letters.open_letters(asked.to_filter())
        return {"open": len(found), "letters": [letter.to_json(whole=False) for letter in found[:limit]]}

    async def letter(self, letter_id: LetterId) -> Json:
        """With its original."""
        return (await self.dead_letters.letter(letter_id)).to_json(whole=True)

    async def redrive(self, asked: Letters) -> Json:
        """What was left open is named."""
        return _settled(await self.dead_letters.redrive(asked.to_filter(), ceiling=asked.max_attempts))

    async def discard(self, asked: Letters) -> Json:
        """No ceiling holds here."""
        return _settled(await self.dead_letters.discard(asked.to_filter()))

    async def facets(self, tenant: str) -> Json:
        """From the history of sources."""
        return await self.sources.listed(tenant)

    async def hand_over(self, asked: HandoverRequest) -> Json:
        """An entry of the history."""
        decided = await self.sources.hand_over(asked.tenant, asked.facet, asked.to, note=asked.note, apply=asked.apply)
        return decided.to_json()

    async def reset(self, asked: ResetRequest) -> Json:
        """An entry of the history."""
        return (await self.sources.reset(asked.tenant, asked.facet, note=asked.note, apply=asked.apply)).to_json()

    async def generations(self) -> Json:
        """From their records."""
        return await self.generation_service.status()

    async def objections(self, name: str, judged: JudgedBody) -> Json:
        """By the gate."""
        return {"objections": (await self.generation_service.objections(name, judged.figures()))[0]}

    async def promote(self, name: str, judged: JudgedBody) -> Json:
        """Through the gate."""
        return await self._followed(
            (await self.generation_service.promote(name, judged.figures(), force=judged.force)).live
        )

    async def roll_back(self) -> Json:
        """Without a gate."""
        return await self._followed((await self.generation_service.roll_back()).live)

    async def drop(self, name: str, judged: JudgedBody) -> Json:
        """When everybody has let go of it."""
        await self.generation_service.drop(name, force=judged.force)
        return {"dropped": name}

    async def _followed(self, live: str) -> Json:
        serving, workers = await self.generation_service.followed(live, timeout_s=_FOLLOWED_WITHIN_S)
        return {"live": live, "serving": serving, "workers": workers}


def _settled(done: Settled) -> Json:
    left = {"gone": [*map(str, done.gone)], "refused": [*map(str, done.refused)]}
    return {"settled": done.settled, "at_ceiling": done.at_ceiling, **left}


def gc_json(found: GcCounts, before_us: int) -> Json:
    """The answer about tombstones: the counts, and the bound (microseconds since 1970)."""
    return {**{name: getattr(found, name) for name in found.__dataclass_fields__}, "before_us": before_us}
