"""No input costs more than its size: what reads texts takes linear time, whatever the text.

The one place where tests measure time. Twice the text may take 2.6 times the processor time of this thread, the best of five runs
each; four times, as of a quadratic pattern, is far above what noise makes of two. Caches are
emptied before each run, else they would answer for it.
"""

from __future__ import annotations

import gc
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from retrieval.analysis import folding
from runtime.bounded_cache import BoundedCache
from tests.serial.adversaries import Shape, fixed_shapes, random_shape
from tests.serial.readers import READERS, Reader

pytestmark = pytest.mark.serial

MOST: Final = 2.6
RUNS: Final = 5
AGAIN: Final = 10
"""A processor has several speeds, and a measurement in which the longer text met the slower one says nothing; four times stays above all."""
RANDOM_SHAPES: Final = 6
"""Random shapes of each reader; every reader has its own."""
ROUNDS: Final = 4
"""A reader that only adds to the analysis of a text meets every fourth of the fixed shapes, each reader others."""
ENOUGH: Final = 3
"""Shapes that take too long, after which no more are looked for."""
CERTAIN_S: Final = 0.5
"""What takes longer needs no second measurement: noise is less."""
UNMEASURABLE_S: Final = 0.0002
"""What takes less for the longer text is too quick to be told from noise, and quick enough."""


@pytest.fixture(autouse=True)
def _no_text_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A short text is folded once and remembered, a long one is folded each time: that is no growth."""
    monkeypatch.setattr(folding, "_LONGEST_REMEMBERED", 0)


@pytest.fixture(autouse=True, scope="module")
def _what_is_loaded_stays() -> Iterator[None]:
    """A collection passes over all that the suite has loaded: half a second, in whichever run it falls into."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _nothing_is_collected_meanwhile() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_twice_the_text_takes_no_more_than_twice_the_time(reader: Reader) -> None:
    place = READERS.index(reader)
    fixed = list(fixed_shapes())[place % ROUNDS :: ROUNDS] if reader.analyses else fixed_shapes()
    shapes = [*fixed, *map(random_shape, range(place * RANDOM_SHAPES, (place + 1) * RANDOM_SHAPES))]
    found: dict[str, float] = {}
    for name, shape in shapes:
        ratio = growth(reader, shape)
        if ratio > MOST:
            found[name] = round(ratio, 1)
        if len(found) == ENOUGH:
            break
    assert not found, f"{reader.name}: twice the text takes this many times the time: {found}"


def growth(reader: Reader, shape: Shape) -> float:
    """How many times as long twice the text takes; measured again where it seems too much, in case the machine was busy."""
    short, long = _best_of_five(reader.read, shape, reader.characters)
    for _ in range(AGAIN):
        if long <= MOST * short or long > CERTAIN_S:
            break
        short, long = _best_of_five(reader.read, shape, reader.characters)
    return 1.0 if long < UNMEASURABLE_S else long / short


def _best_of_five(read: Callable[[str], None], shape: Shape, characters: int) -> tuple[float, float]:
    """Seconds that the text and one twice as long take."""
    short = long = float("inf")
    for _ in range(RUNS):
        short = min(short, _cpu_s(read, shape(characters, 1)))
        long = min(long, _cpu_s(read, shape(characters, 2)))
        if long > CERTAIN_S:
            break
    return short, long


def _cpu_s(read: Callable[[str], None], text: str) -> float:
    for forget in _CACHES:
        forget()
    begun = time.thread_time()
    read(text)
    return time.thread_time() - begun


def _caches() -> list[Callable[[], None]]:
    """How to empty every cache of what functions made of their texts; words of a usual length may stay remembered."""
    ours = [module for name, module in sys.modules.items() if name.split(".")[0] in {"agent", "ferroflux", "retrieval"}]
    functions = [one for module in ours for one in vars(module).values()]
    bounded = {id(one): one.cache.clear for one in functions if isinstance(getattr(one, "cache", None), BoundedCache)}
    counted = {
        id(one): one.cache_clear
        for one in functions
        if hasattr(one, "cache_clear") and inspect.signature(one).parameters
    }
    return [*bounded.values(), *counted.values()]


_CACHES: Final = _caches()
