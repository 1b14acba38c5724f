"""Turns by weight, on simulated time."""

from collections import Counter

import pytest

from retrieval.encoders.sharing import FairQueue

WEIGHTS = {"query": 4.0, "live": 2.0, "bulk": 1.0}


def simulate(arrivals, *, seconds, takes, at_once=1, weights=WEIGHTS):
    """`arrivals` maps kind to the gap between its pieces (0: it always has some waiting); waits by kind, seconds served."""
    queue = FairQueue(weights, at_once=at_once)
    due = dict.fromkeys(arrivals, 0.0)
    now, running, waits, served = 0.0, [], {kind: [] for kind in arrivals}, Counter()
    backlog = Counter()
    while now < seconds:
        for kind, gap in arrivals.items():
            if gap:
                while due[kind] <= now:
                    queue.add(kind, due[kind])
                    due[kind] += gap
            else:
                while backlog[kind] < 4:
                    queue.add(kind, now)
                    backlog[kind] += 1
        while (turn := queue.next()) is not None:
            backlog[turn.kind] -= 1
            waits[turn.kind].append(now - turn.work)
            running.append((now + takes[turn.kind], turn))
        ends = [end for end, _ in running] + [at for kind, at in due.items() if arrivals[kind]]
        now = min(at for at in ends if at > now)
        for end, turn in [one for one in running if one[0] <= now]:
            running.remove((end, turn))
            queue.done(turn, takes[turn.kind])
            served[turn.kind] += takes[turn.kind]
    return waits, served


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize(
    "takes", [{"query": 0.02, "live": 0.02, "bulk": 0.02}, {"query": 0.01, "live": 0.05, "bulk": 0.08}]
)
def test_those_who_all_want_more_are_served_by_weight(at_once, takes):
    _, served = simulate({"query": 0, "live": 0, "bulk": 0}, seconds=60, takes=takes, at_once=at_once)
    total = sum(served.values())
    shares = {kind: served[kind] / total for kind in WEIGHTS}
    assert shares == pytest.approx({"query": 4 / 7, "live": 2 / 7, "bulk": 1 / 7}, abs=0.03)


def test_one_who_wants_less_than_its_share_waits_for_hardly_more_than_what_runs():
    waits, served = simulate(
        {"query": 0, "live": 0.2, "bulk": 0}, seconds=60, takes={"query": 0.02, "live": 0.02, "bulk": 0.08}
    )
    assert max(waits["live"]) <= 0.11
    assert served["query"] / served["bulk"] == pytest.approx(4, rel=0.1)


def test_what_one_leaves_the_others_have():
    _, served = simulate({"query": 0.1, "bulk": 0}, seconds=60, takes={"query": 0.02, "bulk": 0.08})
    assert served["query"] == pytest.approx(12, rel=0.05)
    assert served["bulk"] == pytest.approx(48, rel=0.05)


def test_an_idle_hour_is_no_claim():
    queue = FairQueue(WEIGHTS, at_once=1)
    for _ in range(1000):
        queue.add("bulk", None)
        queue.done(queue.next(), 1.0)
    for _ in range(70):
        queue.add("query", None)
        queue.add("bulk", None)
    order = []
    for _ in range(70):
        turn = queue.next()
        order.append(turn.kind)
        queue.done(turn, 1.0)
    assert order.count("bulk") == pytest.approx(14, abs=2)


def test_no_more_than_so_many_at_once_and_each_in_its_order():
    queue = FairQueue(WEIGHTS, at_once=2)
    for number in range(4):
        queue.add("query", number)
    first, second = queue.next(), queue.next()
    assert ([first.work, second.work], queue.next()) == ([0, 1], None)
    queue.done(first, 0.1)
    assert queue.next().work == 2
