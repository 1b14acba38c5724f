"""What every route needs, held by the application and handed to routes as a dependency."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from agent.api.caller import Caller
from agent.api.settings import AgentHttpSettings
from agent.observation.metrics import AgentMetrics
from agent.service.chat import ChatService
from agent.service.process import AgentProcess
from runtime.rights.customers import Customers
from runtime.rights.keys import rights_of
from schemas.identity import TenantId


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
