"""Whether an answer may be none: the flag for queries that the catalogue probably cannot answer. Pure.

Some neighbour is always nearest and some word always matches, so a search for what a shop does not sell answers all the
same. The flag says so, by reasons that a person can check, and hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from retrieval.search.planning.plan import QueryPlan
from retrieval.search.ranking.fusion import RankedHit


class ConfidenceSettings(BaseModel):
    """Thresholds, chosen on judged queries that the catalogue can and cannot answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    similarity: float = Field(
        0.88, ge=-1, le=1, description="A best neighbour nearer than this answers, whatever the words say."
    )


NOTHING_FOUND: Final = "nothing was found"
UNKNOWN_WORDS: Final = "the catalogue has no such word: {words}"
NOT_TOGETHER: Final = "no product has all of these words, and none is near in meaning"


def low_confidence(
    plan: QueryPlan,
    *,
    meets_all: Callable[[], bool],
    dense: Sequence[RankedHit],
    found: bool,
    named: bool,
    settings: ConfidenceSettings,
) -> str | None:
    """Why the answer may be none; None where there is no reason to think so.

    `meets_all` asks whether some product meets every clause of the query, and is called only where it matters. `dense`: the neighbours (empty where the retriever did not run).
    `named`: some code or redirect of the query was found.
    """
    if not plan.text:
        return None
    if not found:
        return NOTHING_FOUND
    if named:
        return None
    if (dense and dense[0].score >= settings.similarity) or meets_all():
        return None
    if plan.unknown:
        return UNKNOWN_WORDS.format(words=", ".join(plan.unknown))
    return NOT_TOGETHER if dense else None
