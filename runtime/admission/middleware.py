"""The door of an application: a request enters its route's class within the bounds, or is refused before it is parsed.

What a refusal costs matters most when two of three requests are refused: it reads the head of the request, at most the
first piece of its body, and no thread takes part in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final, Protocol

import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from runtime.admission.bounds import Admission, Bound, Reason, Refused
from runtime.admission.callers import OTHERS, Callers
from runtime.clock import SYSTEM_CLOCK, Clock
from runtime.http.problems import SHED, TITLES, TooManyRequestsError
from runtime.http.routes import route_of
from schemas.api.limits import MAX_CHANGES_BYTES
from schemas.api.problems import PROBLEM_MEDIA_TYPE
from schemas.api.routes import Route, RouteClass

INTAKE_REQUEST_BYTES: Final = 64 * 1024
"""What a request with change events counts for at least: its own cost beside that of its bytes."""

_LOOK_EVERY_S: Final = 0.025
_LATE_FADES: Final = 0.8
"""What is left of a lateness at the next look: one long callback is of the past a fifth of a second later."""

BOUNDS: Final[Mapping[RouteClass, Bound]] = {
    RouteClass.SEARCH: Bound(most=128, within_s=0.2, least=4),
    RouteClass.LOOKUP: Bound(most=256, within_s=0.2, least=16),
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
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False
        self._late_s = 0.0
        for kind, bound in {**BOUNDS, **bounds}.items():
            self.bound(kind, bound)

    def watch(self) -> None:
        """See to it that the loop's lateness is measured while requests come; called for each, from the loop."""
        self._asked = True
        if self._timer is None:
            self._next_look(asyncio.get_running_loop())

    def _next_look(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + _LOOK_EVERY_S
        self._timer = loop.call_at(due, self._look, loop, due)

    def _look(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        # What a timer has waited beyond its time, a request waits between the network and us.
        self._late_s = max(loop.time() - due, _LATE_FADES * self._late_s)
        for door in self._doors.values():
            door.behind(self._late_s)
        if self._asked or self._late_s > _LOOK_EVERY_S:
            self._asked = False
            self._next_look(loop)
        else:
            self._timer = None

    def bound(self, kind: RouteClass, bound: Bound) -> None:
        """Give a class another bound; before anything is served."""
        door = self._doors[kind] = Admission(bound)
        self.metrics.inside(kind, 0, door.limit)

    def door(self, kind: RouteClass) -> Admission:
        """The door of one class."""
        return self._doors[kind]


class AdmissionMiddleware:
    """ASGI layer inside the one that names requests. A place is held until the whole answer is sent, streams included."""

    def __init__(self, app: ASGIApp, doors: Doors, callers: Callers, *, clock: Clock = SYSTEM_CLOCK) -> None:
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
        self._doors.watch()
        door, metrics = self._doors.door(route.kind), self._doors.metrics
        refused = door.closed()
        if refused is not None:
            await self._refuse(refused, OTHERS, route, scope, send)
            return
        tenant, receive = await self._callers.name(route, scope, receive)
        place = door.enter(tenant, self._clock.monotonic(), units=_units(route, scope))
        if isinstance(place, Refused):
            await self._refuse(place, tenant, route, scope, send)
            return
        metrics.inside(route.kind, door.inside, door.limit)
        try:
            await self._app(scope, receive, send)
        finally:
            door.leave(place, self._clock.monotonic())
            metrics.inside(route.kind, door.inside, door.limit)
            if scope.get("state", {}).get(SHED):
                metrics.shed(route.kind, Reason.ENCODER, tenant)

    async def _refuse(self, refused: Refused, tenant: str, route: Route, scope: Scope, send: Send) -> None:
        """The problem as any other, written without the models that make the others: it is the commonest answer of all."""
        self._doors.metrics.shed(route.kind, refused.reason, tenant)
        state = scope.setdefault("state", {})
        state["route"] = route.path
        body = orjson.dumps(
            {
                "type": f"urn:ferroflux:problem:{TooManyRequestsError.code}",
                "title": TITLES[TooManyRequestsError.code],
                "status": HTTPStatus.TOO_MANY_REQUESTS.value,
                "detail": _SENTENCES[refused.reason],
                "instance": scope["path"],
                "code": TooManyRequestsError.code,
                "request_id": state.get("request_id", ""),
            }
        )
        headers = [
            (b"content-type", PROBLEM_MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"retry-after", str(refused.retry_after_s).encode()),
        ]
        await send({"type": "http.response.start", "status": HTTPStatus.TOO_MANY_REQUESTS.value, "headers": headers})
        await send({"type": "http.response.body", "body": body})


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
    # One that does not announce its length may send the most that a request may hold.
    most = MAX_CHANGES_BYTES
    return max(INTAKE_REQUEST_BYTES, min(int(announced), most) if announced.isdigit() else most)
