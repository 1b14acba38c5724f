"""What every route needs: the context that the application holds, as a dependency, and what the API's description says about failures."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from agent.api.caller import Caller
from agent.chat import ChatService
from agent.metrics import AgentMetrics
from agent.process import AgentProcess
from agent.settings import AgentHttpSettings
from runtime.http.openapi import Responses, problem_responses
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
