"""The alias record: one entry of a shop's vocabulary, and the record value of the compacted topic `catalog.aliases`.

The record key is `tenant/id` (`*/id` for an entry that every tenant shares), so compaction keeps the newest version of
each entry; a null value forgets it.
"""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from schemas.errors import InvalidEventError

SHARED: Final = "*"
"""In the place of a tenant: an entry for every tenant."""

AliasTerm = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]


class AliasKind(StrEnum):
    """What an entry says of its terms."""

    SYNONYM = "synonym"
    """Two-way: any of the terms finds the others."""
    ALIAS = "alias"
    """One-way: a term also finds the targets; for words that mean several things."""
    REDIRECT = "redirect"
    """A query that is exactly one of the terms puts the target SKUs first."""
    STOP = "stop"
    """The terms say nothing in a query."""
    UNIT = "unit"
    """After a number, a term is another spelling of the one target unit."""
    COMPLEMENT = "complement"
    """A product that is one of the terms is used together with products that are one of the targets."""


class AliasStatus(StrEnum):
    """Whether an entry works."""

    PROPOSED = "proposed"
    """Learned or suggested; waits for approval and changes no search."""
    APPROVED = "approved"
    REJECTED = "rejected"
    """Switched off. With the id of a shared entry, it switches that entry off for one tenant."""


class AliasRecord(BaseModel):
    """One entry at one version; of two versions of an entry the higher one holds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    tenant: str = Field(SHARED, description="The tenant, or `*` for all.")
    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._:-]{0,119}$", description="Name of the entry within the tenant.")
    version: int = Field(1, ge=1)
    kind: AliasKind
    terms: tuple[AliasTerm, ...] = Field(min_length=1, max_length=200)
    targets: tuple[AliasTerm, ...] = Field((), max_length=200)
    status: AliasStatus = AliasStatus.APPROVED
    source: str = Field("operator", max_length=60, description="Who says so: shipped, operator, or a miner's name.")
    evidence: str = Field("", max_length=500, description="Why it was proposed, for the person who decides.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind is AliasKind.SYNONYM and len(self.terms) < 2:
            raise ValueError("a synonym needs two terms or more")
        if self.kind in (AliasKind.ALIAS, AliasKind.REDIRECT, AliasKind.COMPLEMENT) and not self.targets:
            raise ValueError(f"the kind {self.kind} needs targets")
        if self.kind is AliasKind.UNIT and len(self.targets) != 1:
            raise ValueError("a unit needs exactly one target")
        if self.kind in (AliasKind.SYNONYM, AliasKind.STOP) and self.targets:
            raise ValueError(f"the kind {self.kind} takes no targets")
        return self

    @property
    def key(self) -> str:
        """The record key."""
        return f"{self.tenant}/{self.id}"

    def to_bytes(self) -> bytes:
        """The record value: JSON without fields that hold their default."""
        return self.model_dump_json(exclude_defaults=True).encode()

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes) -> Self:
        """Read one record of the topic.

        Raises:
            InvalidEventError: it is no alias record, or its key names another entry.
        """
        try:
            record = cls.model_validate_json(value)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidEventError(f"{'.'.join(map(str, first['loc'])) or 'value'}: {first['msg']}") from error
        if key != record.key.encode():
            raise InvalidEventError(f"the record's key is {key!r}, the entry's {record.key!r}")
        return record
