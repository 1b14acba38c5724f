"""What the API's description says about failures, and where it is."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.http.openapi import describe_rights
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem

_WHEN: Final = {
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

PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: {"description": when, "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, when in _WHEN.items()
}
"""What any route about a tenant may answer, as FastAPI's `responses` takes it."""


def install_openapi(app: FastAPI) -> None:
    """Describe the API: the problem schema in place of the framework's own validation error."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            schemas = document["components"]["schemas"]
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs"))
            schemas["Problem"] = problem
            describe_rights(document)
            app.openapi_schema = document
        return app.openapi_schema

    # FastAPI's documented way to extend the description is to replace this method on the instance.
    app.openapi = describe  # type: ignore[method-assign]
