"""The port `HeldVersions`: which version each of many facets holds, who feeds it, and what time it is where they are held."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from schemas.errors import FerrofluxError, InvalidRequestError
from schemas.identity import SkuKey, TenantId
from schemas.product.changes import FacetKey
from schemas.product.sources import History
from schemas.version import Stamp

Register = tuple[SkuKey, FacetKey]
"""One facet of one product."""


class NotLookedError(FerrofluxError):
    """What facets hold cannot be asked for here. Make the store reachable that the message names, or say with --no-look that it need not be."""

    code = "not_looked"


class VersionRefusedError(InvalidRequestError):
    """A change could not win over what is there, or would freeze it. Do what the message says, or insist with --force."""

    code = "version_refused"


@dataclass(frozen=True, slots=True)
class Held:
    """What a facet holds: the newest event's stamp, a tombstone's too, and when its source committed it (0: unknown)."""

    stamp: Stamp
    changed_at_us: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """Answer to one look: the registers that hold something, and the server's time where there is a server to say it.

    `histories` has the sources of the facets that were asked for, of those that have any.
    """

    held: Mapping[Register, Held] = field(default_factory=dict)
    now_us: int | None = None
    histories: Mapping[tuple[TenantId, FacetKey], History] = field(default_factory=dict)


class HeldVersions(Protocol):
    """Looks at what is indexed: a change that is still on its way is not seen."""

    async def look(self, registers: Collection[Register]) -> Look:
        """Look at many registers; as many round trips as their number needs, each bounded.

        Raises:
            NotLookedError: they cannot be looked at from here.
            FerrofluxError: the server refuses us.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
