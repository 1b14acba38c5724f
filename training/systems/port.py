"""What is evaluated: anything that ranks products for a query; and ports that answer a question once.

An indexed catalogue does not change, so every method of a reader, a vector index or an encoder is a pure function of its
arguments. A configuration that differs only in fusion then costs no search at all, and yet goes through the real code: that
makes hundreds of configurations over the same queries a matter of a minute.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from retrieval.encoders.port import SparseVector
from retrieval.rerank.onnx import load_reranker
from retrieval.rerank.port import Reranker, RerankSettings
from schemas.identity import TenantId


@dataclass(frozen=True, slots=True)
class RankedAnswer:
    """An answer to one query.

    `skus` are best first. `found_by` says for some of them which retriever had them at which rank (from 1), `raw_scores`
    by retriever and rank which score that was.
    `low_confidence` is whether the system itself doubts that the catalogue has an answer; None where it never says.
    `milliseconds` has the time by stage, `total` among them.
    """

    skus: tuple[str, ...]
    found_by: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    raw_scores: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    low_confidence: bool | None = None
    milliseconds: Mapping[str, float] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()


class SearchSystem(Protocol):
    """Something that can be asked."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    async def answer(self, text: str, tenant: TenantId, limit: int) -> RankedAnswer:
        """The best `limit` products of a tenant for a query."""
        ...

    def close(self) -> None:
        """Let go of threads."""
        ...


T = TypeVar("T")


def memoised(port: T) -> T:
    """The same port, remembering results by method and arguments. Results are shared: callers must not change them."""
    return cast("T", _Memoised(port))


class _Memoised:
    def __init__(self, port: Any) -> None:
        self._port = port
        self._results: dict[Hashable, Any] = {}

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._port, name)
        if inspect.isasyncgenfunction(attribute) or not callable(attribute):
            return attribute
        method = (
            self._awaited(name, attribute) if inspect.iscoroutinefunction(attribute) else self._called(name, attribute)
        )
        setattr(self, name, method)
        return method

    def _called(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            key = (name, _key(arguments), _key(named))
            if key not in self._results:
                self._results[key] = method(*arguments, **named)
            return self._results[key]

        return call

    def _awaited(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*arguments: Any, **named: Any) -> Any:
            key = (name, _key(arguments), _key(named))
            if key not in self._results:
                self._results[key] = await method(*arguments, **named)
            return self._results[key]

        return call


def _key(value: Any) -> Hashable:
    """A hashable stand-in that is equal where the value is."""
    if isinstance(value, np.ndarray):
        return value.shape, value.tobytes()
    if isinstance(value, SparseVector):
        return value.indices.tobytes(), value.values.tobytes()
    if isinstance(value, dict):
        return frozenset((name, _key(member)) for name, member in value.items())
    if isinstance(value, set | frozenset):
        return frozenset(value)
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    return cast("Hashable", value)


def remembered_reranker(settings: RerankSettings) -> Reranker | None:
    """The reranker that the settings name, answering every question once; None where they name none.

    Raises:
        ModelNotFoundError: no such model.
        ConfigurationError: the settings do not fit the model or this machine.
    """
    if not settings.model:
        return None
    # What decides how many candidates it gets does not decide what it gives.
    same = {
        name: type(settings).model_fields[name].get_default()
        for name in ("depth", "batch_size", "budget_ms", "at_once")
    }
    return _loaded(settings.model_copy(update=same))


@lru_cache(maxsize=4)
def _loaded(settings: RerankSettings) -> Reranker:
    reranker = load_reranker(settings)
    assert reranker is not None, "the settings name a model"
    return memoised(reranker)
