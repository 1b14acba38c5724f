"""One call to the server: its deadline, its retries, and what its failures mean to us.

Every call that goes through here is safe to repeat: reads, and writes that carry their guard. So a try that may or may
not have taken effect is simply made again; the guard turns the second effect into nothing.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import grpc
import structlog
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse

from retrieval.vectors.settings import RetrySettings
from runtime.retry import Backoff, BackoffPolicy
from schemas.errors import ConfigurationError, FerrofluxError, StoreRefusedError, StoreUnavailableError

log = structlog.get_logger(__name__)

T = TypeVar("T")

_CONFIGURATION_CODES: Final = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.FAILED_PRECONDITION,
    }
)
"""Answers that the same call will get again. Everything else may pass: away, too slow, overloaded, a full disk."""

_OF_POINTS: Final = frozenset({grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION})
"""Of these, what may be said of one point of a write and not of the others."""

_TOO_LARGE: Final = re.compile(r"message.{0,40}(larger than max|too large|length.{0,40}limit)", re.IGNORECASE)
"""How gRPC on either side says that a message is over its limit: by a code that also means overload, or a bad offset."""


class MessageTooLargeError(StoreRefusedError):
    """A request or an answer of the vector store is larger than a message may be. It is made again in parts; one point alone that is too large is set apart."""


class NotAppliedError(Exception):
    """The server took a write but did not say that it is applied. The call is made again; its guard makes that safe."""


class StoreCalls:
    """Makes calls to one server within their time, again where the failure may pass."""

    def __init__(self, store: str, *, timeout_s: float, retry: RetrySettings) -> None:
        self._store = store
        self._timeout_s = timeout_s
        self._retry = retry
        # The first bound is the policy's for one failure: twice its base.
        self._policy = BackoffPolicy(base_s=retry.first_delay_s / 2, cap_s=retry.max_delay_s)

    async def __call__(self, what: str, attempt: Callable[[], Awaitable[T]], *, of_points: bool = False) -> T:
        """Await `attempt()` until it succeeds; `what` names it in logs and errors.

        `of_points` says that the call carries points, one of which may be what the server refuses.

        Raises:
            StoreUnavailableError: tries or time ran out.
            StoreRefusedError: the server refuses the points of the call, or one of them.
            MessageTooLargeError: the call, or its answer, is larger than a message may be.
            ConfigurationError: the server refuses the call as it is.
        """
        now = asyncio.get_running_loop().time
        deadline = now() + self._retry.deadline_s
        backoff = Backoff(self._policy)
        while True:
            try:
                async with asyncio.timeout(max(0.0, min(self._timeout_s, deadline - now()))):
                    return await attempt()
            except (grpc.aio.AioRpcError, ResourceExhaustedResponse, NotAppliedError, OSError) as error:
                failure = self._meaning(what, error, of_points=of_points)
                # Never sooner than the server asked for.
                asked = float(error.retry_after_s) if isinstance(error, ResourceExhaustedResponse) else 0.0
                pause, tried = asked + backoff.next(), backoff.failures
                if not isinstance(failure, StoreUnavailableError):
                    raise failure from error
                if tried >= self._retry.attempts or now() + pause >= deadline:
                    raise failure from error
            log.warning(
                "vector store call failed", call=what, tried=tried, retry_in_s=round(pause, 3), reason=str(failure)
            )
            await asyncio.sleep(pause)

    def _meaning(self, what: str, error: BaseException, *, of_points: bool) -> FerrofluxError:
        if isinstance(error, grpc.aio.AioRpcError):
            reason = f"{error.code().name}: {error.details()}"
            if _TOO_LARGE.search(error.details() or ""):
                return MessageTooLargeError(f"the vector store {self._store} could not {what}: {reason}")
            if of_points and error.code() in _OF_POINTS:
                return StoreRefusedError(f"the vector store {self._store} refused to {what}: {reason}")
            if error.code() in _CONFIGURATION_CODES:
                return ConfigurationError(f"the vector store {self._store} refused to {what}: {reason}")
        elif isinstance(error, TimeoutError):
            reason = f"no answer within {self._timeout_s:g} s"
        else:
            reason = str(error) or type(error).__name__
        return StoreUnavailableError(
            f"the vector store {self._store} could not {what} ({reason}); check that it is up and reachable"
        )
