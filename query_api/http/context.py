"""What every route shares: the application's context as a dependency, and the problems that it may answer."""

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import Depends, Request

from query_api.http.metrics import ApiMetrics
from query_api.settings import HttpSettings
from query_api.worker import Worker
from retrieval.serving.searchers import Searchers
from runtime.admission.middleware import Doors
from runtime.http.openapi import Responses, problem_responses


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The running worker and the rules of its HTTP face."""

    worker: Worker
    http: HttpSettings
    metrics: ApiMetrics
    doors: Doors

    @property
    def searchers(self) -> Searchers:
        """What answers."""
        return self.worker.searchers


def api_context(request: Request) -> ApiContext:
    """The context of the application that answers this request."""
    found: ApiContext = request.app.state.context
    return found


Context = Annotated[ApiContext, Depends(api_context)]


PROBLEMS: Final[Responses] = problem_responses(
    {
        400: "The body is not JSON.",
        401: "This installation asks for a key, and there is none in the request; or a customer's token is not valid.",
        403: "The key does not open this tenant, or lacks the route's role (`missing_role`).",
        404: "There is no such product in this tenant's catalogue.",
        413: "The body is larger than this installation takes.",
        422: "A field is missing, unknown or out of bounds; `errors` names each.",
        429: "The worker holds as many searches as it may; see Retry-After.",
        500: "The server failed; report the request id.",
        503: "The worker is not ready, or its stores do not answer; see Retry-After.",
    },
    {
        400: "malformed_body",
        401: "unauthorized",
        403: "forbidden",
        404: "not_found",
        413: "content_too_large",
        422: "invalid_request",
        429: "too_many_requests",
        500: "internal_error",
        503: "not_ready",
    },
    instance="/v1/search",
)
"""Every problem by status."""

TENANT_PROBLEMS: Final[Responses] = {status: PROBLEMS[status] for status in (400, 401, 403, 413, 422, 429, 500, 503)}
"""What any route about a tenant may answer."""
