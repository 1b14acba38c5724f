"""How long a refused client rests."""

import random

import pytest

from runtime.retry import rest_s


@pytest.mark.parametrize(
    ("header", "low", "high"),
    [
        ("2", 2.0, 3.0),
        ("0", 0.0, 0.0),
        (None, 0.2, 0.3),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.2, 0.3),
        ("-5", 0.2, 0.3),
        ("99999999", 30.0, 45.0),
        ("1" * 500, 30.0, 45.0),
        ("٣", 3.0, 4.5),
    ],
)
def test_it_is_what_the_server_asks_and_up_to_half_more(header, low, high):
    rng = random.Random(1)
    rests = [rest_s(header, 0.2, rng) for _ in range(200)]
    assert low <= min(rests) <= max(rests) <= high
    assert len(set(rests)) > 100 or high == 0
