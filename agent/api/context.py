"""What every route needs: the context that the application holds, and who calls, with what of the tenant that opens.

a customer's token      conversations under names of the customer's choice, and the orders in them; nothing of others
a key and no token      conversations whose names were issued here, which nobody can guess
a key for `operate`     any conversation by its name, to read and to delete; for `orders`, every order
no keys                 everything
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Annotated, Final, Self

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from agent.chat import ChatService
from agent.conversation.order import Order
from agent.conversation.thread_names import ThreadNames, customer_prefix
from agent.conversation.turn import TurnEvent
from agent.errors import ThreadNotFoundError, ThreadNotIssuedError, WeakIdempotencyKeyError
from agent.metrics import AgentMetrics
from agent.process import AgentProcess
from agent.settings import AgentHttpSettings
from runtime.http.middleware import CUSTOMER_HEADER
from runtime.http.openapi import Responses, problem_responses
from runtime.rights.customers import Customers
from runtime.rights.keys import Rights, rights_of
from schemas.api.chat import ThreadView, TurnReply
from schemas.api.routes import Role
from schemas.identity import TenantId

SHORTEST_KEY: Final = 22
"""Characters of an idempotency key from which a conversation's name follows: 128 random bits in base64."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's caller, about one tenant, whose rights to the route were checked."""

    tenant: TenantId
    customer: str
    """The customer of the token; empty where there is none."""
    is_open: bool
    operates: bool
    names_customers: bool
    """Whether a body may say who the customer is: nobody can, where that is what a token says."""

    @classmethod
    async def of(cls, rights: Rights, tenant: TenantId, customers: Customers) -> Self:
        """The caller.

        Raises:
            UnauthorizedError: there is no key, or the token is not valid.
            ForbiddenError: the key does not open the tenant for this route.
        """
        headers = rights.request.headers
        rights.check(tenant, customer=CUSTOMER_HEADER in headers)
        customer = await customers.named(headers, tenant)
        operates = rights.holds(tenant, Role.OPERATE)
        names_customers = not customers.takes(tenant) or operates or rights.holds(tenant, Role.ORDERS)
        return cls(tenant, customer, rights.is_open, operates, names_customers)

    @property
    def thread_prefix(self) -> str:
        """What the names of the caller's conversations begin with; empty where that is no bound."""
        return customer_prefix(self.customer) if self.customer else ""

    def thread_to_write(self, names: ThreadNames, wanted: str, key: str) -> str:
        """The name under which a message's conversation is kept.

        Raises:
            ThreadNotIssuedError: it is a name of the caller's choice, and there is no customer whose it could be.
            WeakIdempotencyKeyError: the name would follow from an idempotency key that somebody could guess.
            ThreadNameTooLongError: it has no room beside the customer's.
        """
        if self.customer:
            return names.of_customer(self.tenant, self.customer, wanted, key)
        if not wanted:
            if key and not self.is_open and len(key) < SHORTEST_KEY:
                raise WeakIdempotencyKeyError
            return names.issue(self.tenant, key)
        if not self.is_open and not names.is_issued(self.tenant, wanted):
            raise ThreadNotIssuedError
        return wanted

    def thread_to_read(self, names: ThreadNames, wanted: str) -> str:
        """The name of a conversation that is read or deleted.

        Raises:
            ThreadNotFoundError: it is none that this caller may open; whether there is one is not told.
        """
        if self.customer:
            return names.of_customer(self.tenant, self.customer, wanted)
        if not (self.is_open or self.operates or names.is_issued(self.tenant, wanted)):
            raise ThreadNotFoundError
        return wanted

    def name_of(self, thread: str) -> str:
        """A conversation's name as the caller knows it."""
        return thread.removeprefix(self.thread_prefix)

    def shown(self, event: TurnEvent) -> TurnEvent:
        """An event of a turn as the caller knows its conversation."""
        return self.reply(event) if isinstance(event, TurnReply) else event

    def reply(self, reply: TurnReply) -> TurnReply:
        """A reply likewise."""
        return reply.model_copy(update={"thread": self.name_of(reply.thread)})

    def view(self, view: ThreadView) -> ThreadView:
        """A conversation likewise."""
        last = None if view.last is None else self.reply(view.last)
        return view.model_copy(update={"thread": self.name_of(view.thread), "last": last})

    def owns(self, order: Order) -> bool:
        """Whether an order is one that the caller may see."""
        return order.thread.startswith(self.thread_prefix)


_IPV6_NETWORK: Final = 64


def client_address(request: HTTPConnection) -> str:
    """The address; empty where the server knows none. Behind a proxy it is the one that uvicorn takes from trusted ones' headers."""
    if request.client is None:
        return ""
    try:
        found = ipaddress.ip_address(request.client.host.partition("%")[0])
    except ValueError:
        return request.client.host
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _IPV6_NETWORK), strict=False).network_address)


@dataclass(frozen=True, slots=True)
class AgentContext:
    """The running process and the rules of its HTTP face."""

    process: AgentProcess
    http: AgentHttpSettings
    customers: Customers
    metrics: AgentMetrics

    @property
    def chat(self) -> ChatService:
        """The chat.

        Raises:
            NotReadyError: its stores are not open yet.
        """
        return self.process.chat

    async def caller(self, request: Request, tenant: str) -> Caller:
        """Who asks about this tenant; every route that is about one begins with it.

        Raises:
            UnauthorizedError: there is no key, or the token is not valid.
            ForbiddenError: the key does not open the tenant for this route.
        """
        return await Caller.of(rights_of(request), TenantId(tenant), self.customers)


def agent_context(request: Request) -> AgentContext:
    """The context of the application that answers this request."""
    found: AgentContext = request.app.state.context
    return found


Context = Annotated[AgentContext, Depends(agent_context)]


PROBLEMS: Final[Responses] = problem_responses(
    {
        400: "The body is not JSON.",
        401: "This installation asks for a key, and there is none in the request; or a customer's token is not valid.",
        403: "The key does not open this tenant, or lacks the route's role (`missing_role`).",
        404: "There is no such conversation or order of this tenant.",
        409: "The order or the conversation is no longer in that state.",
        413: "The body is larger than this installation takes.",
        422: "A field is missing, unknown or out of bounds; `errors` names each.",
        429: "The process holds as many turns as it may; see Retry-After.",
        500: "The server failed; report the request id.",
        503: "The agent is not ready, a store does not answer, or the conversation is busy; see Retry-After.",
    }
)
"""What any route about a tenant may answer."""
