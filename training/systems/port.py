"""The port of whatever answers judged queries, and its answer: a ranked list with what is known of how it came about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from schemas.identity import TenantId


@dataclass(frozen=True, slots=True)
class RankedAnswer:
    """An answer to one query.

    `skus` are best first. `found_by` says for some of them which retriever had them at which rank (from 1), `raw_scores`
    by retriever and rank which score that was.
    `low_confidence` is whether the system itself doubts that the catalogue has an answer; None where it never says.
    `milliseconds` has the time by stage, `total` among them.
    """

    skus: tuple[str, ...]
    found_by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    raw_scores: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    low_confidence: bool | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()


class SearchSystem(Protocol):
    """Something that can be asked."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """The best `limit` products of a tenant for a query."""
        ...

    def close(self) -> None:
        """Let go of threads."""
        ...
