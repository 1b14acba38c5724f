"""Errors on the wire: problem details (RFC 9457), the same shape for every failure."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"


class InvalidField(BaseModel):
    """One thing that is wrong with the request."""

    model_config = ConfigDict(frozen=True)

    field: str = Field(description="Where: `filters.price_min`, `q`; empty for the request as a whole.")
    detail: str = Field(description="What is wrong, and what it may hold.")


class Problem(BaseModel):
    """Problem details as in RFC 9457."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:ferroflux:problem:invalid_request",
                    "title": "The request is not valid",
                    "status": 422,
                    "detail": "limit: Input should be less than or equal to 100",
                    "instance": "/v1/search",
                    "code": "invalid_request",
                    "request_id": "0f8c1d6b5a7e4c2f9b1d3e5a7c9b0d2e",
                    "errors": [{"field": "limit", "detail": "Input should be less than or equal to 100"}],
                }
            ]
        },
    )

    type: str = Field(description="`urn:ferroflux:problem:` and the code.")
    title: str = Field(description="The kind of problem, the same for every occurrence.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="This occurrence, and what to do.")
    instance: str = Field(description="The path of the request.")
    code: str = Field(description="Stable machine-readable name.")
    request_id: str
    errors: tuple[InvalidField, ...] | None = Field(None, description="Where fields are wrong, each of them.")
