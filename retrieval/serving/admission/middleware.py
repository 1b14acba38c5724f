"""The door of an application: a request enters its route's class within the bounds, or is refused before it is parsed.

What a refusal costs matters most when two of three requests are refused: it reads the head of the request, at most the
first piece of its body, and no thread takes part in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from retrieval.serving.admission.callers import OTHERS, Callers
from retrieval.serving.admission.routes import Route, RouteClass, route_of
from retrieval.serving.problems import SHED, TooManyRequestsError, too_many_requests
from runtime.admission import Admission, Bound, Reason, Refused

INTAKE_REQUEST_BYTES: Final = 64 * 1024
"""What a request with change events counts for at least: its own cost beside that of its bytes."""

MAX_INTAKE_BYTES: Final = 8 * 1024 * 1024
"""What a request with change events counts for at most, and where it does not announce its length."""

BOUNDS: Final[Mapping[RouteClass, Bound]] = {
    RouteClass.SEARCH: Bound(most=128, within_s=0.25, least=4),
    RouteClass.LOOKUP: Bound(most=256, within_s=0.25, least=16),
    RouteClass.CHAT: Bound(most=64),
    RouteClass.INTAKE: Bound(most=64 * 1024 * 1024),
    RouteClass.OPERATION: Bound(most=16),
}
"""What each class may hold where an application's settings say nothing else; intake in bytes, the rest in requests."""


class AdmissionMetrics(Protocol):
    """Where admission is counted."""

    def shed(self, kind: RouteClass, reason: Reason, tenant: str) -> None:
        """Count one request that was refused."""
        ...

    def inside(self, kind: RouteClass, inside: int, limit: float) -> None:
        """How much a class holds, and may."""
        ...


class Doors:
    """The doors of one process by class of route. What two applications share (in `ferroflux up`) goes through one door."""

    def __init__(self, bounds: Mapping[RouteClass, Bound], metrics: AdmissionMetrics) -> None:
        self._doors: dict[RouteClass, Admission] = {}
        self.metrics = metrics
        for kind, bound in {**BOUNDS, **bounds}.items():
            self.bound(kind, bound)

    def bound(self, kind: RouteClass, bound: Bound) -> None:
        """Give a class another bound; before anything is served."""
        door = self._doors[kind] = Admission(bound)
        self.metrics.inside(kind, 0, door.limit)

    def door(self, kind: RouteClass) -> Admission:
        """The door of one class."""
        return self._doors[kind]


class AdmissionMiddleware:
    """ASGI layer inside the one that names requests. A place is held until the whole answer is sent, streams included."""

    def __init__(
        self, app: ASGIApp, doors: Doors, callers: Callers, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._app = app
        self._doors = doors
        self._callers = callers
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        route = route_of(scope["method"], scope["path"])
        if route.kind is RouteClass.EXEMPT:
            await self._app(scope, receive, send)
            return
        door, metrics = self._doors.door(route.kind), self._doors.metrics
        refused = door.closed()
        if refused is not None:
            await self._refuse(refused, OTHERS, route, scope, receive, send)
            return
        tenant, receive = await self._callers.name(route, scope, receive)
        place = door.enter(tenant, self._clock(), units=_units(route, scope))
        if isinstance(place, Refused):
            await self._refuse(place, tenant, route, scope, receive, send)
            return
        metrics.inside(route.kind, door.inside, door.limit)
        try:
            await self._app(scope, receive, send)
        finally:
            door.leave(place, self._clock())
            metrics.inside(route.kind, door.inside, door.limit)
            if scope.get("state", {}).get(SHED):
                metrics.shed(route.kind, Reason.ENCODER, tenant)

    async def _refuse(
        self, refused: Refused, tenant: str, route: Route, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._doors.metrics.shed(route.kind, refused.reason, tenant)
        scope.setdefault("state", {})["route"] = route.path
        error = TooManyRequestsError(_SENTENCES[refused.reason])
        await too_many_requests(Request(scope), error, refused.retry_after_s)(scope, receive, send)


_SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.DEADLINE: "more is being asked than can be answered in time; try again after the seconds that Retry-After names",
    Reason.FULL: "this process holds as many of these requests as it may; try again after the seconds that Retry-After names",
    Reason.SHARE: "this tenant holds its share of what can be answered in time; try again after the seconds that "
    "Retry-After names",
}


def _units(route: Route, scope: Scope) -> int:
    """What a request counts for: itself, or, of change events, its bytes."""
    if route.kind is not RouteClass.INTAKE:
        return 1
    announced = Headers(scope=scope).get("Content-Length", "")
    return max(INTAKE_REQUEST_BYTES, min(int(announced), MAX_INTAKE_BYTES) if announced.isdigit() else MAX_INTAKE_BYTES)
