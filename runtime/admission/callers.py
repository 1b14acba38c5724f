"""Whose work a request counts as: the tenant that it names, where there is such a tenant; all others together.

A name that somebody made up is nobody's share and nobody's label in the metrics.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from runtime.rights.keys import Access
from schemas.api.routes import Route, RouteClass, TenantIn
from schemas.identity import TenantId

OTHERS: Final = "other"
"""All that name no tenant of ours."""

_LOOKED_AT: Final = 4096
"""Bytes of a body in which its tenant is looked for: it is among the first fields of whoever writes requests."""

_IN_QUERY = re.compile(rb"(?:^|&)tenant=([A-Za-z0-9._-]{1,64})(?:&|$)")
_IN_BODY = re.compile(rb'"tenant"\s{0,8}:\s{0,8}"([A-Za-z0-9._-]{1,64})"')
"""Within a JSON string a quote is escaped, so a text that quotes this does not match."""


class Callers:
    """Names the tenant of a request without parsing it. `exists` says whether there is a tenant of that name here."""

    def __init__(self, access: Access, exists: Callable[[TenantId], bool]) -> None:
        self._access = access
        self._exists = exists

    async def name(self, route: Route, scope: Scope, receive: Receive) -> tuple[str, Receive]:
        """The name, and the messages of the request from their beginning.

        A small body is waited for: whoever sends it slowly holds a connection meanwhile, and no place that others wait for.
        """
        if route.tenant is TenantIn.QUERY:
            found = _IN_QUERY.search(scope["query_string"])
        elif route.tenant is TenantIn.BODY:
            taken = _Taken(receive)
            await taken.read(whole=route.kind is not RouteClass.INTAKE)
            found, receive = _IN_BODY.search(taken.beginning, 0, _LOOKED_AT), taken.receive
        else:
            found = None
        return self._name(scope, TenantId(found[1].decode() if found else "")), receive

    def _name(self, scope: Scope, claimed: TenantId) -> str:
        if self._access.is_open:
            return claimed if claimed and self._exists(claimed) else OTHERS
        opened = self._access.opened(Headers(scope=scope))
        if opened.every:
            return claimed if claimed and self._exists(claimed) else OTHERS
        if claimed in opened.tenants:
            return claimed
        return min(opened.tenants, default=OTHERS)


class _Taken:
    """What of a request's body was taken out, to be received again from its beginning; a failure, too, where it came."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._messages: deque[Message] = deque()
        self._failure: HTTPException | None = None
        self.beginning = b""

    async def read(self, *, whole: bool) -> None:
        """Read the first message, or all of them."""
        try:
            while True:
                message = await self._receive()
                self._messages.append(message)
                if len(self.beginning) < _LOOKED_AT:
                    self.beginning += message.get("body", b"")
                if not whole or not message.get("more_body", False):
                    return
        except HTTPException as error:  # too long or too slow: for the route to answer, as everything it receives
            self._failure = error

    async def receive(self) -> Message:
        """As the server's: what was taken, then what comes."""
        if self._messages:
            return self._messages.popleft()
        if self._failure is not None:
            raise self._failure
        return await self._receive()
