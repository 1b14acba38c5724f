"""Every failure as problem details (RFC 9457): one shape, a stable code, a sentence, never a stack trace."""

import inspect
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from schemas.api.limits import MAX_REPORTED
from schemas.api.problems import PROBLEM_MEDIA_TYPE, InvalidField, Problem
from schemas.errors import (
    FerrofluxError,
    InvalidRequestError,
    NotFoundError,
    NotReadyError,
    OverloadedError,
    RetryableError,
)

log = structlog.get_logger(__name__)


class MalformedBodyError(InvalidRequestError):
    """The body is not JSON. Send one JSON object with `Content-Type: application/json`."""

    code = "malformed_body"


class UnauthorizedError(FerrofluxError):
    """This installation asks for a key. Send one of the tenant's keys as `Authorization: Bearer` or `X-API-Key`."""

    code = "unauthorized"


class ForbiddenError(FerrofluxError):
    """The key does not open this tenant. Use one of the tenant's own keys."""

    code = "forbidden"


class MissingRoleError(ForbiddenError):
    """The key does not hold the role that this route asks for. Use another key, or have the operator grant the role."""

    code = "missing_role"


class HostNotAllowedError(ForbiddenError):
    """This process asks for no key, so it answers only to names that it knows. Call it by localhost, or add the name to ALLOWED_HOSTS."""

    code = "host_not_allowed"


class ForeignOriginError(ForbiddenError):
    """This process asks for no key, so pages of other origins may change nothing. Add the page's origin to CORS_ORIGINS."""

    code = "foreign_origin"


class InvalidTokenError(UnauthorizedError):
    """The customer's token is not valid for this tenant. Send a fresh one, signed by the issuer that the operator has set, or none."""

    code = "invalid_customer_token"


class TooManyRequestsError(FerrofluxError):
    """This process holds as many requests as it may. Try again after the seconds that Retry-After names."""

    code = "too_many_requests"


class ConflictError(FerrofluxError):
    """The request does not fit the present state. The detail says what the state is and what to do."""

    code = "conflict"


STATUS_BY_ERROR: Final[tuple[tuple[type[FerrofluxError], HTTPStatus], ...]] = (
    (MalformedBodyError, HTTPStatus.BAD_REQUEST),
    (InvalidRequestError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (UnauthorizedError, HTTPStatus.UNAUTHORIZED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (ConflictError, HTTPStatus.CONFLICT),
    (TooManyRequestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (OverloadedError, HTTPStatus.TOO_MANY_REQUESTS),
    (NotReadyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (RetryableError, HTTPStatus.SERVICE_UNAVAILABLE),
)
"""The first class that fits decides; anything else of ours is a 500."""

TITLES: Final[Mapping[str, str]] = {
    "malformed_body": "The body is not JSON",
    "invalid_request": "The request is not valid",
    "unauthorized": "A key is needed",
    "forbidden": "The key does not open this tenant",
    "missing_role": "The key lacks a role",
    "host_not_allowed": "This process is not called by that name",
    "foreign_origin": "Pages of other origins may change nothing here",
    "invalid_customer_token": "The customer's token is not valid",
    "not_found": "There is no such thing",
    "conflict": "The request does not fit the present state",
    "method_not_allowed": "The method is not allowed here",
    "content_too_large": "The body is too large",
    "request_timeout": "The body came too slowly",
    "too_many_requests": "The worker is busy",
    "not_ready": "The worker is not ready",
    "search_unavailable": "No retriever could answer",
    "store_unavailable": "A store did not answer",
    "internal_error": "The server failed",
}

RETRY_AFTER_S: Final = "1"

SHED: Final = "shed"
"""In a request's state: it was let in and refused all the same, for the deadline could not be met any more."""

_HTTP_CODES: Final[Mapping[int, str]] = {
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    413: "content_too_large",
}


def request_id(request: Request) -> str:
    """The id that the middleware gave this request."""
    found: str = request.scope.get("state", {}).get("request_id", "")
    return found


def problem_response(
    request: Request,
    *,
    status: int,
    code: str,
    detail: str,
    errors: Sequence[InvalidField] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A response that carries one problem; a code without a title of ours has its status' own."""
    problem = Problem(
        type=f"urn:ferroflux:problem:{code}",
        title=TITLES.get(code, HTTPStatus(status).phrase),
        status=status,
        detail=detail,
        instance=request.url.path,
        code=code,
        request_id=request_id(request),
        errors=None if errors is None else tuple(errors),
    )
    content = problem.model_dump_json(exclude_none=True).encode()
    return Response(content, status_code=status, media_type=PROBLEM_MEDIA_TYPE, headers=dict(headers or {}))


def install_problem_handlers(app: FastAPI) -> None:
    """Make problems of everything that a route raises."""
    app.add_exception_handler(FerrofluxError, of_ferroflux)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(ClientDisconnect, _of_disconnect)


def internal_problem(request: Request) -> Response:
    """The problem of a defect: nothing about it but the request id, which the log has too."""
    detail = "something failed that should not; report it with the request id"
    return problem_response(request, status=500, code="internal_error", detail=detail)


async def of_ferroflux(request: Request, error: Exception) -> Response:
    """The problem of an error of ours; what should not happen, and what names hosts, is told to the log only."""
    assert isinstance(error, FerrofluxError)
    status = next((status for kind, status in STATUS_BY_ERROR if isinstance(error, kind)), None)
    if status is None:
        log.error("request failed", code=error.code, exc_info=error)
        return internal_problem(request)
    headers: dict[str, str] = {}
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers["Retry-After"] = RETRY_AFTER_S
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="ferroflux"'
    # A store's own message may name hosts and collections, which is the operator's business and in the log.
    hidden = isinstance(error, RetryableError)
    detail = " ".join((inspect.getdoc(type(error)) or "").split()) if hidden else str(error)
    if isinstance(error, OverloadedError):
        request.scope.setdefault("state", {})[SHED] = True
    elif hidden:
        log.warning("request unavailable", code=error.code, error=str(error))
    return problem_response(request, status=status, code=error.code, detail=detail, headers=headers)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        return await of_ferroflux(request, MalformedBodyError())
    fields = [InvalidField(field=_place(entry["loc"]), detail=_sentence(entry)) for entry in found[:MAX_REPORTED]]
    detail = "; ".join(f"{field.field}: {field.detail}" if field.field else field.detail for field in fields[:5])
    if len(found) > len(fields):
        detail += f"; {len(found)} faults in all, the first {len(fields)} are named"
    return problem_response(request, status=422, code="invalid_request", detail=detail, errors=fields)


async def of_http(request: Request, error: Exception) -> Response:
    """The problem of what the framework, or a layer before the routes, raised by its status."""
    assert isinstance(error, HTTPException)
    code = _HTTP_CODES.get(error.status_code)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # FastAPI's answer to a body that it could not read as JSON
        return await of_ferroflux(request, MalformedBodyError())
    if code is None:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    details = {
        "not_found": "there is nothing at this path; /openapi.json lists what there is",
        "method_not_allowed": "this path has other methods; the Allow header names them",
        "content_too_large": "the body is larger than this installation takes; send less",
        "request_timeout": "the body came too slowly to be waited for; send it again, in smaller requests where the line is slow",
    }
    detail = details.get(code, HTTPStatus(error.status_code).phrase)
    headers = dict(error.headers or {})
    if code == "method_not_allowed":
        headers["Allow"] = ", ".join(_methods_at(request))
    return problem_response(request, status=error.status_code, code=code, detail=detail, headers=headers)


async def _of_disconnect(request: Request, _: Exception) -> Response:
    """Who went away in the middle of a body reads no answer: this one is for the metrics."""
    return await of_ferroflux(request, MalformedBodyError("the body broke off"))


def _methods_at(request: Request) -> list[str]:
    """Every method that some route has at this path; the router itself names only the first route's."""
    routes: Sequence[BaseRoute] = request.app.routes
    return [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]


def _place(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location[1:])


def _sentence(entry: Mapping[str, Any]) -> str:
    message: str = entry["msg"]
    return message.removeprefix("Value error, ")
