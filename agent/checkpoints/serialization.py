"""The strict serialisation of thread state: plain values and two types of LangGraph's own, everything else refused.

LangGraph's serialiser would import and call whatever class a checkpoint names, so whoever can write to the store could
run code in the agent. Its strict mode hands unknown objects back as bare data, which hides the mistake until later.
Ours refuses them, both when state is written (a mistake of ours) and when it is read (somebody else's).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ormsgpack
from langgraph.checkpoint.redis.jsonplus_redis import JsonPlusRedisSerializer
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Interrupt, Send

from agent.checkpoints.port import UnknownStateTypeError

ALLOWED_TYPES: Final = (("langgraph.types", "Interrupt"), ("langgraph.types", "Send"))
"""An interrupt waits in a checkpoint for its answer; a send is a task that has still to run. Both hold plain data."""

_KINDS: Final = frozenset({"null", "bytes", "bytearray", "msgpack"})
_PLAIN: Final = (str, int, float, type(None), dict, list, tuple, bytes, bytearray, Interrupt, Send)

_DELTA_EXTENSION: Final = 7
"""LangGraph's snapshot of a delta channel: packed data without a type's name."""


class StrictSerializer(JsonPlusSerializer):
    """Msgpack with the allow-list above."""

    def __init__(self) -> None:
        super().__init__(allowed_msgpack_modules=ALLOWED_TYPES)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Serialise.

        Raises:
            UnknownStateTypeError: the state holds an object that is not on the allow-list.
        """
        try:
            kind, data = super().dumps_typed(obj)
        except ormsgpack.MsgpackEncodeError as error:
            raise UnknownStateTypeError(f"the state holds what cannot be serialised: {error}") from error
        if kind == "msgpack":
            _refuse_foreign(data)
        return kind, data

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Deserialise.

        Raises:
            UnknownStateTypeError: the bytes name a type that is not on the allow-list, or are of another format.
        """
        kind, raw = data
        if kind not in _KINDS:
            raise UnknownStateTypeError(f"the state is in the format {kind[:20]!r}, which is not read here")
        if kind == "msgpack":
            _refuse_foreign(raw)
        return super().loads_typed(data)


class StrictRedisSerializer(JsonPlusRedisSerializer):
    """The same for Redis, whose saver keeps JSON: no object is ever built from what a document says.

    The saver calls these steps one by one, so each is overridden where it would write or follow a constructor's name.
    """

    def _preprocess_redis_json(self, obj: Any, *, encode_bytes: Callable[[bytes], Any] | None = None) -> Any:
        if not isinstance(obj, _PLAIN):
            raise UnknownStateTypeError(f"the state holds a {_name(type(obj))}, which is not on the allow-list")
        return super()._preprocess_redis_json(obj, encode_bytes=encode_bytes)

    def _constructor_class(self, obj: dict[str, Any]) -> type[Any]:
        raise UnknownStateTypeError(f"the state names the type {obj.get('id')!r}, which is not on the allow-list")

    def _reviver(self, value: dict[str, Any]) -> Any:
        if value.get("type") == "constructor" and value.get("lc") in {1, 2}:
            raise UnknownStateTypeError(f"the state names the type {value.get('id')!r}, which is not on the allow-list")
        return value

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Deserialise.

        Raises:
            UnknownStateTypeError: the document names a type, or is of another format.
        """
        kind, raw = data
        if kind not in _KINDS | {"json"}:
            raise UnknownStateTypeError(f"the state is in the format {kind[:20]!r}, which is not read here")
        if kind == "msgpack":
            _refuse_foreign(raw)
        return super().loads_typed(data)


def _refuse_foreign(packed: bytes) -> None:
    """Read the names of all types in packed bytes, at any depth, without building anything."""
    foreign: list[str] = []
    ormsgpack.unpackb(packed, ext_hook=_collector(foreign), option=ormsgpack.OPT_NON_STR_KEYS)
    if foreign:
        raise UnknownStateTypeError(
            f"the state holds {', '.join(sorted(set(foreign)))}, which is not on the allow-list"
        )


def _collector(foreign: list[str]) -> Callable[[int, bytes], None]:
    # An exception in a hook loses its words on the way through the decoder, so the names are collected instead.
    def hook(code: int, data: bytes) -> None:
        inner = ormsgpack.unpackb(data, ext_hook=hook, option=ormsgpack.OPT_NON_STR_KEYS)
        if code == _DELTA_EXTENSION:
            return
        named = tuple(inner[:2]) if isinstance(inner, list) else ()
        if named not in ALLOWED_TYPES:
            foreign.append(".".join(str(part) for part in named) or f"extension {code}")

    return hook


def _name(kind: Any) -> str:
    return f"{getattr(kind, '__module__', '?')}.{getattr(kind, '__qualname__', '?')}"
