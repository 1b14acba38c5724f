"""What OpenAPI says about failures: every route answers them as problem details, with an example."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.http.openapi import describe_rights
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem

_WHEN: Final = {
    400: ("malformed_body", "The body is not JSON."),
    401: (
        "unauthorized",
        "This installation asks for a key, and there is none in the request; or a customer's token is not valid.",
    ),
    403: ("forbidden", "The key does not open this tenant, or lacks the route's role (`missing_role`)."),
    404: ("not_found", "There is no such product in this tenant's catalogue."),
    413: ("content_too_large", "The body is larger than this installation takes."),
    422: ("invalid_request", "A field is missing, unknown or out of bounds; `errors` names each."),
    429: ("too_many_requests", "The worker holds as many searches as it may; see Retry-After."),
    500: ("internal_error", "The server failed; report the request id."),
    503: ("not_ready", "The worker is not ready, or its stores do not answer; see Retry-After."),
}


def _response(status: int) -> dict[str, Any]:
    code, when = _WHEN[status]
    example = {
        "type": f"urn:ferroflux:problem:{code}",
        "title": when.rstrip("."),
        "status": status,
        "detail": when,
        "instance": "/v1/search",
        "code": code,
        "request_id": "0f8c1d6b5a7e4c2f9b1d3e5a7c9b0d2e",
    }
    schema = {"$ref": "#/components/schemas/Problem"}
    return {"description": when, "content": {PROBLEM_MEDIA_TYPE: {"schema": schema, "example": example}}}


PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {status: _response(status) for status in _WHEN}
"""Every problem by status, as FastAPI's `responses` takes them."""

TENANT_PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    status: PROBLEMS[status] for status in (400, 401, 403, 413, 422, 429, 500, 503)
}
"""What any route about a tenant may answer."""


def install_openapi(app: FastAPI) -> None:
    """Describe the API: the problem schema in place of the framework's own validation error."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes, tags=_TAGS
            )
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


_TAGS: Final = [
    {"name": "search", "description": "Finding products."},
    {"name": "catalogue", "description": "Reading products and tenants."},
    {"name": "operations", "description": "State, health and metrics of the worker."},
]
