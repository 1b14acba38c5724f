"""Caches are bounded by the bytes of their entries, whatever one of them weighs."""

import gc
import threading
import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

from runtime.bounded_cache import LONGEST_WORD, BoundedCache, caches, remembered, remembered_words, weight_of

pytestmark = pytest.mark.slow


def by_length(_key: object, value: str) -> int:
    return len(value)


def test_the_least_recently_used_entries_go_when_the_bytes_are_spent():
    cache = BoundedCache[str, str]("test", max_bytes=3_200, weigh=by_length)
    for key in "abc":
        cache.put(key, "x" * 200)
    assert cache.get("a") == "x" * 200
    for key in "defghij":
        cache.put(key, "x" * 200)
    assert cache.held() == ("a", "d", "e", "f", "g", "h", "i", "j")
    assert cache.bytes == 8 * (200 + 200) <= 3_200
    assert cache.evictions == 2


def test_an_entry_that_would_push_out_most_others_is_not_kept():
    cache = BoundedCache[str, str]("test", max_bytes=8_000, weigh=by_length)
    cache.put("small", "x")
    cache.put("large", "x" * 1_000)
    assert cache.held() == ("small",)
    cache.put("small", "x" * 1_000)
    assert len(cache) == 0
    assert cache.bytes == 0


def test_where_every_entry_is_needed_the_newest_is_kept_whatever_it_weighs():
    cache = BoundedCache[str, str]("test", max_bytes=8_000, weigh=by_length, keep_large=True)
    cache.put("small", "x")
    cache.put("large", "x" * 100_000)
    assert cache.held() == ("large",)
    cache.put("small", "x")
    assert cache.held() == ("small",)


def test_hits_misses_and_bytes_are_told_by_name():
    cache = BoundedCache[str, str]("a name of its own", max_bytes=8_000)
    assert cache.get("a") is None
    cache.put("a", "b")
    assert cache.get("a") == "b"
    (seen,) = [one for one in caches() if one.name == "a name of its own"]
    assert (seen.hits, seen.misses, len(seen)) == (1, 1, 1)
    assert seen.bytes > 200
    cache.discard("a")
    cache.discard("a")
    assert (seen.bytes, len(seen)) == (0, 0)


def test_a_cache_that_is_gone_is_told_no_more():
    cache = BoundedCache[str, str]("gone", max_bytes=8_000)
    del cache
    gc.collect()
    assert not [one for one in caches() if one.name == "gone"]


def test_bytes_add_up_under_many_threads():
    cache = BoundedCache[int, str]("test", max_bytes=20_000, weigh=by_length)

    def work(seed: int) -> None:
        for number in range(2_000):
            key = (number * seed) % 97
            cache.of(key, lambda weight=key * 5: "x" * weight)
            if number % 7 == 0:
                cache.discard(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in (3, 5, 7, 11)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.bytes == sum(len(cache.get(key) or "") + 200 for key in cache.held()) <= 20_000


def test_a_remembered_function_computes_once_and_an_error_is_not_remembered():
    asked = []

    @remembered("test", max_bytes=8_000)
    def double(number: int) -> int:
        asked.append(number)
        if number < 0:
            raise ValueError
        return 2 * number

    assert [double(4), double(4)] == [8, 8]
    for _ in range(2):
        with pytest.raises(ValueError, match=r"^$"):
            double(-1)
    assert asked == [4, -1, -1]


def test_words_are_remembered_and_what_is_no_word_is_computed_each_time():
    asked = []

    @remembered_words(max_bytes=1_000_000)
    def upper(word: str) -> str:
        asked.append(len(word))
        return word.upper()

    for word in ("tornillo", "tornillo", "x" * LONGEST_WORD, "x" * LONGEST_WORD, "x" * 41, "x" * 41):
        assert upper(word) == word.upper()
    assert asked == [8, 40, 41, 41]


def test_a_million_bytes_of_entries_take_about_that_of_memory():
    """The weights are those that the interpreter counts, within a fifth."""
    cache = BoundedCache[str, tuple[str, ...]]("test", max_bytes=1_000_000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(20_000):
        cache.put(f"key {number}", tuple(f"word {number} {at}" for at in range(5)))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 800_000 < after - before < 1_250_000


@dataclass(slots=True)
class Slotted:
    text: str
    other: object = None


class Plain:
    def __init__(self, text: str) -> None:
        self.text = text


def test_weights_count_the_parts_once():
    long = "x" * 10_000
    assert 10_000 < weight_of(Slotted(long)) < 10_500
    assert 10_000 < weight_of(Plain(long)) < 11_000
    assert weight_of((long, long, {"a": long})) < 11_000
    assert weight_of(frozenset({long, long + "y"})) > 20_000
    nested = Slotted(long)
    nested.other = nested
    assert weight_of(nested) < 10_500


def test_a_view_of_an_array_weighs_what_it_keeps_alive():
    vectors = np.zeros((100, 384), np.float32)
    assert weight_of(vectors[0]) > vectors.nbytes
    assert weight_of(vectors[0].copy()) < 2_000
