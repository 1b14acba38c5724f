"""The guard of a request over many points, as a function."""

from hypothesis import given
from hypothesis import strategies as st
from qdrant_client import models

from retrieval.vectors.qdrant.filters import at_revisions

REVISIONS = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1)


@given(expected=REVISIONS, stored=REVISIONS)
def test_a_point_passes_exactly_at_its_own_expected_revision(expected, stored):
    guard = at_revisions(expected)
    passing = {point_id for point_id, rev in stored.items() if _passes(guard, point_id, rev)}
    assert passing == {point_id for point_id, rev in stored.items() if expected.get(point_id) == rev}


def test_points_at_one_revision_share_a_branch():
    assert len(at_revisions({"a": 1, "b": 1, "c": 2}).should) == 2


def _passes(guard: models.Filter, point_id: str, rev: int) -> bool:
    return any(
        point_id in branch.must[0].has_id and branch.must[1].key == "rev" and branch.must[1].match.value == rev
        for branch in guard.should
    )
