"""What becomes of a change, given what its facet holds: by the magnitude and the order of the two versions alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferroflux.ingest.held.verdict import MAX_AHEAD_US, Rules, Scale, Verdict, differ, scale_of
from ferroflux.ingest.held.versions import Held
from schemas.version import MAX_EPOCH, MAX_SEQUENCE, SourceVersion, Stamp

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000
LSN = 98_765_432_109
BY_CLOCK = Rules("--version", by_clock=True)
BY_HAND = Rules("--version", by_clock=False)


def stamp(sequence: int, epoch: int = 0, digest: str = "m") -> Stamp:
    return Stamp(SourceVersion(epoch, sequence), digest)


def held(sequence: int, epoch: int = 0, digest: str = "m") -> Held:
    return Held(stamp(sequence, epoch, digest))


@pytest.mark.parametrize(
    ("sequence", "scale"),
    [
        (8412, Scale.COUNT),
        (LSN, Scale.COUNT),
        (1_790_000_000, Scale.SECONDS),
        (1_790_000_000_000, Scale.MILLISECONDS),
        (NOW, Scale.MICROSECONDS),
        (5_000_000_000_000_000, Scale.COUNT),
        (MAX_SEQUENCE, Scale.COUNT),
        (2**120, Scale.COUNT),  # positions of two log numbers are wider than 64 bits
    ],
)
def test_a_version_is_a_time_where_it_lies_in_this_century(sequence, scale) -> None:
    assert scale_of(SourceVersion(0, sequence)) is scale


@pytest.mark.parametrize(
    ("sent", "there", "verdict"),
    [
        # the usual cases
        (stamp(NOW), None, Verdict.FREE),
        (stamp(8412), None, Verdict.FREE),
        (stamp(NOW), held(NOW), Verdict.EQUAL),
        (stamp(NOW), held(NOW - DAY), Verdict.APPLIES),
        (stamp(8413), held(8412), Verdict.APPLIES),
        (stamp(1_000), held(3), Verdict.APPLIES),
        (stamp(NOW), held(0), Verdict.APPLIES),  # what a repair wrote
        (stamp(8411), held(8412), Verdict.OLDER),
        (stamp(NOW - DAY), held(NOW), Verdict.OLDER),
        (stamp(NOW - DAY), held(NOW + MAX_AHEAD_US), Verdict.OLDER),
        # twins are ordered by their content, as the merge does
        (stamp(7, digest="z"), held(7), Verdict.APPLIES),
        (stamp(7, digest="a"), held(7), Verdict.OLDER),
        # two counts
        (stamp(NOW), held(LSN), Verdict.FREEZES),
        (stamp(NOW), held(8412), Verdict.FREEZES),
        (stamp(NOW), held(NOW // 1_000), Verdict.FREEZES),
        (stamp(NOW // 1_000), held(NOW // 1_000_000), Verdict.FREEZES),
        (stamp(NOW // 1_000), held(8412), Verdict.FREEZES),
        (stamp(8413), held(NOW), Verdict.CANNOT_WIN),
        (stamp(NOW // 1_000), held(NOW), Verdict.CANNOT_WIN),
        (stamp(NOW), held(2**63), Verdict.CANNOT_WIN),
        # the growth of one log passes the numbers of seconds and milliseconds
        (stamp(1_000_000_000), held(970_000_000), Verdict.APPLIES),
        (stamp(980_000_000_000), held(970_000_000_000), Verdict.APPLIES),
        (stamp(970_000_000), held(1_000_000_000), Verdict.OLDER),
        # epochs are an operator's word
        (stamp(NOW, epoch=1), held(LSN), Verdict.APPLIES),
        (stamp(5, epoch=1), held(NOW), Verdict.APPLIES),
        (stamp(NOW), held(5, epoch=1), Verdict.CANNOT_WIN),
        # clocks
        (stamp(NOW), held(NOW + DAY), Verdict.FROZEN),
        (stamp(NOW + DAY), None, Verdict.AHEAD),
        (stamp(NOW + DAY), held(NOW - DAY), Verdict.AHEAD),
        (stamp(NOW + MAX_AHEAD_US), held(NOW), Verdict.APPLIES),
        # nothing after it could win
        (stamp(MAX_SEQUENCE), None, Verdict.FREEZES),
        (stamp(MAX_SEQUENCE, epoch=MAX_EPOCH), held(NOW), Verdict.FREEZES),
    ],
)
def test_a_verdict_follows_from_the_two_versions(sent, there, verdict) -> None:
    judged = BY_CLOCK.judge(sent, there, NOW)
    assert judged.verdict is verdict
    assert bool(judged.reason) is (verdict.refused or verdict is Verdict.OLDER)


@pytest.mark.parametrize(
    ("sent", "there", "remedies"),
    [
        (
            stamp(NOW),
            held(LSN),
            ["freeze", "98765432109", "log position", "--version", "facet handover --help", "--force"],
        ),
        (stamp(8413), held(NOW), ["never win", "--version", "facet handover --help"]),
        (stamp(NOW), held(5, epoch=3), ["--epoch 3", "facet handover --help"]),
        (stamp(NOW), held(NOW + 3 * DAY), ["newer", "3 days ahead", "facet reset --help"]),
        (stamp(NOW + 3 * DAY), None, ["3 days ahead", "Set the clock", "--version"]),
        (stamp(MAX_SEQUENCE), None, ["largest", "--version"]),
    ],
)
def test_a_refusal_says_what_to_do(sent, there, remedies) -> None:
    reason = BY_CLOCK.judge(sent, there, NOW).reason
    assert [remedy for remedy in remedies if remedy not in reason] == []


def test_a_version_that_somebody_gave_may_lie_ahead() -> None:
    assert BY_HAND.judge(stamp(NOW + DAY), held(NOW), NOW).verdict is Verdict.APPLIES


VERSIONS = st.builds(
    SourceVersion, st.integers(0, 2), st.integers(0, 20) | st.integers(0, 2**64 - 2) | st.just(NOW) | st.just(NOW + 1)
)
STAMPS = st.builds(Stamp, VERSIONS, st.sampled_from("am"))


@given(sent=STAMPS, there=STAMPS)
def test_what_is_said_to_apply_wins_in_the_merge_and_what_is_older_does_not(sent, there) -> None:
    verdict = BY_HAND.judge(sent, Held(there), NOW).verdict
    wins = {Verdict.APPLIES, Verdict.FREEZES}
    loses = {Verdict.OLDER, Verdict.CANNOT_WIN, Verdict.FROZEN}
    assert verdict in (wins if sent > there else loses if sent < there else {Verdict.EQUAL})


@given(one=VERSIONS, other=VERSIONS)
def test_two_counts_differ_both_ways(one, other) -> None:
    assert differ(one, other) == differ(other, one)
    assert not differ(one, one)
