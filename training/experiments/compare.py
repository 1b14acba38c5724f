"""Two runs over the same queries: differences of the means, whether they are chance, and the queries that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from schemas.errors import ConfigurationError
from training.experiments.run import Run
from training.measures.metrics import METRICS, NDCG_10, QueryScore
from training.measures.resampling import PairedDifference, paired_difference

_SAME: Final = 1e-9


@dataclass(frozen=True, slots=True)
class QueryChange:
    """A query whose nDCG differs between two runs."""

    before: QueryScore
    after: QueryScore

    @property
    def difference(self) -> float:
        """nDCG@10 after less before."""
        return self.after.values[NDCG_10] - self.before.values[NDCG_10]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changes from `before` to `after`; the changed queries go from the greatest loss to the greatest gain."""

    before: Run
    after: Run
    differences: Mapping[str, PairedDifference]
    changes: tuple[QueryChange, ...]


def compare(before: Run, after: Run) -> Comparison:
    """Compare two runs of the same judged queries.

    Raises:
        ConfigurationError: the runs are over different queries.
    """
    earlier = {score.query.id: score for score in before.scores}
    later = {score.query.id: score for score in after.scores}
    if earlier.keys() != later.keys():
        raise ConfigurationError(
            f"the runs {before.system!r} and {after.system!r} are over different queries and cannot be compared"
        )
    differences = {
        metric: paired_difference(
            [earlier[key].values[metric] for key in earlier], [later[key].values[metric] for key in earlier]
        )
        for metric in METRICS
    }
    changes = [QueryChange(earlier[key], later[key]) for key in earlier]
    changed = [change for change in changes if abs(change.difference) > _SAME]
    return Comparison(before, after, differences, tuple(sorted(changed, key=lambda change: change.difference)))
