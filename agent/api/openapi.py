"""What the chat API says about failures."""

from typing import Final

from runtime.http.openapi import Responses, problem_responses

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
