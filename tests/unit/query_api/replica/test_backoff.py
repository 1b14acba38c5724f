"""The waits between two tries."""

import random

from query_api.replica.backoff import Backoff


def test_waits_double_up_to_the_most_and_keep_at_least_half():
    backoff = Backoff(0.2, 2.0, random.Random(7))
    waits = [backoff.next() for _ in range(6)]
    for wait, whole in zip(waits, (0.2, 0.4, 0.8, 1.6, 2.0, 2.0), strict=True):
        assert whole / 2 <= wait <= whole


def test_a_success_begins_anew():
    backoff = Backoff(0.2, 10.0)
    for _ in range(8):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.2


def test_two_workers_do_not_wait_alike():
    assert Backoff(1, 1).next() != Backoff(1, 1).next()
