"""The description of an HTTP API of ours: its failures as problem details, how a key and a token are sent, the roles of each route."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from runtime.http.middleware import CUSTOMER_HEADER
from schemas.api.problems import PROBLEM_MEDIA_TYPE, Problem
from schemas.api.routes import ROUTES, Role

_DESCRIBED: Final = {(method, re.sub(r":\w+}", "}", path)): route for (method, path), route in ROUTES.items()}
"""As OpenAPI writes paths: without what a parameter may hold."""

Responses = dict[int | str, dict[str, Any]]
"""What a route may answer beside success, as FastAPI's `responses` takes it."""


def problem_responses(
    when: Mapping[int, str], codes: Mapping[int, str] | None = None, *, instance: str = ""
) -> Responses:
    """Each status with the sentence that says when it comes; one with a code gets an example, of a request to `instance`."""
    return {
        status: _response(status, sentence, (codes or {}).get(status, ""), instance)
        for status, sentence in when.items()
    }


def _response(status: int, when: str, code: str, instance: str) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": {"$ref": "#/components/schemas/Problem"}}
    if code:
        content["example"] = {
            "type": f"urn:ferroflux:problem:{code}",
            "title": when.rstrip("."),
            "status": status,
            "detail": when,
            "instance": instance,
            "code": code,
            "request_id": "0f8c1d6b5a7e4c2f9b1d3e5a7c9b0d2e",
        }
    return {"description": when, "content": {PROBLEM_MEDIA_TYPE: content}}


def install_openapi(app: FastAPI, tags: Sequence[dict[str, Any]] | None = None) -> None:
    """Describe the API: the problem schema in place of the framework's own validation error, and who may call each route."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                routes=app.routes,
                tags=None if tags is None else list(tags),
            )
            schemas = document["components"]["schemas"]
            schemas.pop("HTTPValidationError", None)
            schemas.pop("ValidationError", None)
            problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
            schemas.update(problem.pop("$defs"))
            schemas["Problem"] = problem
            _describe_rights(document)
            app.openapi_schema = document
        return app.openapi_schema

    # FastAPI's documented way to extend the description is to replace this method on the instance.
    app.openapi = describe  # type: ignore[method-assign]


def _describe_rights(document: dict[str, Any]) -> None:
    """`x-roles` of an operation are those of which a key needs one, `admin` always being one."""
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        "customer": {"type": "apiKey", "in": "header", "name": CUSTOMER_HEADER},
    }
    document["security"] = [{}, {"bearer": []}, {"key": []}]
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = _DESCRIBED.get((method.upper(), path))
            if route is None or not route.roles:
                continue
            operation["x-roles"] = [role.value for role in Role if role in route.roles | {Role.ADMIN}]
            if route.customers:
                operation["security"] = [{}, {"bearer": []}, {"key": []}, {"bearer": [], "customer": []}]
