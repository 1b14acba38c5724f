"""A cache bounded by the bytes that its entries take, for everything that a user's input can fill.

A bound on the number of entries is no bound on memory where one entry can be three hundred times another: 8,192 analyses of long
descriptions are 2.4 GB. Each cache has a name, by which `/metrics` tells its bytes, entries, hits, misses and evictions.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from enum import Enum
from functools import lru_cache, wraps
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final, Generic, ParamSpec, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
P = ParamSpec("P")
R = TypeVar("R")

_ENTRY_BYTES: Final = 200
"""What an entry costs besides key and value: a slot of the ordered dictionary, a pair, an integer."""
_LARGEST_SHARE: Final = 8
"""An entry that takes more than this part of the whole is not kept: it would push out all that are asked for more often."""

LONGEST_WORD: Final = 40
"""Letters of a word that a cache of words keeps; a longer one is no word of a language."""
_WORD_ENTRY_BYTES: Final = 1_024
"""At most, of a word of `LONGEST_WORD` letters (four bytes each) and what is made of it: a word, or a few with their kinds."""

_caches: weakref.WeakSet[BoundedCache[Hashable, object]] = weakref.WeakSet()
_registering = threading.Lock()


class BoundedCache(Generic[K, V]):
    """The most recently used entries whose weights sum to at most `max_bytes`. Thread-safe.

    `weigh` gives an entry's bytes; by default they are counted through the key's and value's parts, once, when it is put in.
    """

    def __init__(
        self, name: str, *, max_bytes: int, weigh: Callable[[K, V], int] | None = None, keep_large: bool = False
    ) -> None:
        """`keep_large` keeps the newest entry whatever it weighs: where it is asked for again at once and is dear to make."""
        self.name = name
        self.max_bytes = max_bytes
        self.bytes = 0
        self.hits = 0
        self.misses = 0
        self.evictions = 0
        self._weigh = weigh or _weight_of_both
        self._largest = None if keep_large else max_bytes // _LARGEST_SHARE
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()
        with _registering:
            _caches.add(self)  # type: ignore[arg-type]  # read only, by name and figures

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The entry, now the most recently used; None where there is none."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                self.misses += 1
                return None
            self.hits += 1
            self._entries.move_to_end(key)
            return entry[0]

    def put(self, key: K, value: V) -> None:
        """Keep the entry, and push out the least recently used ones that no longer fit beside it."""
        weight = self._weigh(key, value) + _ENTRY_BYTES
        with self._lock:
            self._forget(key)
            if self._largest is not None and weight > self._largest:
                return
            self._entries[key] = (value, weight)
            self.bytes += weight
            while self.bytes > self.max_bytes and len(self._entries) > 1:
                _, (_, freed) = self._entries.popitem(last=False)
                self.bytes -= freed
                self.evictions += 1

    def of(self, key: K, compute: Callable[[], V]) -> V:
        """The entry, computed where it is not there; of two threads that ask at once, both may compute."""
        held = self.get(key)
        if held is None:
            held = compute()
            self.put(key, held)
        return held

    def discard(self, key: K) -> None:
        """Forget one entry, where it is there."""
        with self._lock:
            self._forget(key)

    def clear(self) -> None:
        """Forget all entries."""
        with self._lock:
            self._entries.clear()
            self.bytes = 0

    def held(self) -> tuple[K, ...]:
        """The keys of what is held, the least recently used first."""
        with self._lock:
            return tuple(self._entries)

    def _forget(self, key: K) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry[1]


def remembered(
    name: str, *, max_bytes: int, weigh: Callable[[Any, Any], int] | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember a pure function's results by its positional arguments, in a `BoundedCache`. None is computed each time."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        cache: BoundedCache[tuple[Hashable, ...], R] = BoundedCache(name, max_bytes=max_bytes, weigh=weigh)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs:
                return function(*args, **kwargs)
            return cache.of(args, lambda: function(*args, **kwargs))

        call.cache = cache  # type: ignore[attr-defined]  # for tests
        return call

    return decorate


def remembered_words(*, max_bytes: int, word: int = 0) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Remember a pure function of a word, called thousands of times a document: what a `BoundedCache` would cost is too much.

    The bound is on entries, and since no longer word is kept it is one on bytes. `word` is the position of the word in the arguments.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        kept: Callable[P, R] = lru_cache(maxsize=max_bytes // _WORD_ENTRY_BYTES)(function)  # type: ignore[assignment]  # all are hashable

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            short = len(args[word]) <= LONGEST_WORD  # type: ignore[arg-type]  # the position is that of a string
            return kept(*args, **kwargs) if short else function(*args, **kwargs)

        return call

    return decorate


def caches() -> Iterator[BoundedCache[Hashable, object]]:
    """Every cache of this process that is alive."""
    with _registering:
        alive = list(_caches)
    yield from alive


def _weight_of_both(key: K, value: V) -> int:
    return weight_of(key) + weight_of(value)


_SHARED: Final = (type, Enum, FunctionType, BuiltinFunctionType, MethodType, ModuleType, bool, type(None))
"""Things that live once, whoever points to them."""


def weight_of(value: object) -> int:
    """Bytes of the value and of all that it holds, each object counted once.

    Counted are the standard containers, and the attributes of objects with a `__dict__` or `__slots__`; a view of an array counts the
    whole that it keeps alive. An object of a foreign library counts what it says itself, which may be less than it holds.
    """
    seen: set[int] = set()
    open_: list[object] = [value]
    total = 0
    while open_:
        one = open_.pop()
        if isinstance(one, _SHARED) or id(one) in seen:
            continue
        seen.add(id(one))
        total += sys.getsizeof(one)
        open_.extend(_parts(one))
    return total


def _parts(one: object) -> Iterable[object]:
    if isinstance(one, str | bytes | bytearray | int | float):
        return ()
    if isinstance(one, Mapping):
        return (part for pair in one.items() for part in pair)
    if isinstance(one, tuple | list | set | frozenset):
        return one
    return _attributes(one)


def _attributes(one: object) -> Iterator[object]:
    for name in ("__dict__", "base"):
        yield getattr(one, name, None)
    for kind in type(one).__mro__:
        names = kind.__dict__.get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name != "__weakref__":
                yield getattr(one, name, None)
