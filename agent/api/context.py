"""What every route needs, held by the application and handed to routes as a dependency."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from agent.api.settings import AgentHttpSettings
from agent.observation.metrics import AgentMetrics
from agent.service.chat import ChatService
from agent.service.process import AgentProcess
from retrieval.serving.access import Access
from retrieval.serving.problems import TooManyRequestsError


class InFlight:
    """How many turns a process holds, and the bound above which it refuses: a late answer helps nobody."""

    def __init__(self, bound: int, changed: Callable[[int], None]) -> None:
        self._bound = bound
        self._changed = changed
        self._held = 0

    def __enter__(self) -> None:
        if self._held >= self._bound:
            raise TooManyRequestsError
        self._held += 1
        self._changed(self._held)

    def __exit__(self, *_: object) -> None:
        self._held -= 1
        self._changed(self._held)


@dataclass(frozen=True, slots=True)
class AgentContext:
    """The running process and the rules of its HTTP face."""

    process: AgentProcess
    http: AgentHttpSettings
    access: Access
    metrics: AgentMetrics
    in_flight: InFlight

    @property
    def chat(self) -> ChatService:
        """The chat.

        Raises:
            NotReadyError: its stores are not open yet.
        """
        return self.process.chat


def agent_context(request: Request) -> AgentContext:
    """The context of the application that answers this request."""
    found: AgentContext = request.app.state.context
    return found


Context = Annotated[AgentContext, Depends(agent_context)]
