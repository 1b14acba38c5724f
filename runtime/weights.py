"""How many bytes a value takes, its parts included: what a cache weighs its entries by."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Final

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
