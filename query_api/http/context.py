"""What every route needs, held by the application and handed to routes as a dependency."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from query_api.http.metrics import ApiMetrics
from query_api.settings import HttpSettings
from query_api.worker import Worker
from runtime.admission.middleware import Doors


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The running worker and the rules of its HTTP face."""

    worker: Worker
    http: HttpSettings
    metrics: ApiMetrics
    doors: Doors


def api_context(request: Request) -> ApiContext:
    """The context of the application that answers this request."""
    found: ApiContext = request.app.state.context
    return found


Context = Annotated[ApiContext, Depends(api_context)]
