"""The headers of a dead letter: what a tool must know to list, filter and redrive records that could not be processed."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


def _header(name: str) -> str:
    return f"ferroflux.{name}"


class DeadLetterHeaders(BaseModel):
    """Headers that stand beside the original key, value and headers of a record; each value is UTF-8 text."""

    model_config = ConfigDict(alias_generator=_header, frozen=True)

    reason: str = Field(description="Stable code of the error: the table is in docs/reference/events.md.")
    detail: str = Field(description="A sentence for the operator, at most 1,000 characters.")
    topic: str = Field(description="Topic of the original record.")
    partition: str = Field(description="Partition of the original record, decimal.")
    offset: str = Field(description="Offset of the original record, decimal.")
    timestamp: str = Field(description="Timestamp of the original record, milliseconds since 1970, decimal.")
    attempt: str = Field(description="How often the record has been tried, redrives included, decimal.")
    tenant: str = Field(description="The tenant where it is known, else empty.")
    time: str = Field(description="When the dead letter was written, microseconds since 1970, decimal.")
    null: Literal["value"] | None = Field(None, description="Present where the original had neither key nor value.")
