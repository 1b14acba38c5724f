"""The waits between two tries: the one policy of every loop."""

import random

from runtime.retry import Backoff, BackoffPolicy


def test_rests_grow_to_the_cap_with_full_jitter():
    policy, rng = BackoffPolicy(), random.Random(3)
    for failures, most in [(1, 0.4), (2, 0.8), (5, 6.4), (7, 10.0), (1_000, 10.0)]:
        delays = [policy.delay(failures, rng) for _ in range(500)]
        assert 0 <= min(delays) < 0.1 * most
        assert 0.9 * most < max(delays) <= most


def test_a_success_begins_anew():
    backoff = Backoff(BackoffPolicy(0.2, 10.0))
    for _ in range(8):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= 0.4


def test_two_workers_do_not_rest_alike():
    assert Backoff(BackoffPolicy(1, 1)).next() != Backoff(BackoffPolicy(1, 1)).next()
