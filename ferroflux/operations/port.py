"""What an operator can do to an installation: one port, directly on its stores and logs or over HTTP on a running `ferroflux up`.

Requests are the bodies of the HTTP API, and answers are its JSON objects (docs/reference/http-api.md), so a command says the
same whichever adapter it talks to. Each request checks itself; what it means is checked where it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ferroflux.operations.generations.gate import JudgedFigures
from indexer.deadletters.letter import LetterId
from indexer.deadletters.service import DEFAULT_CEILING, LetterFilter
from indexer.replay.selection import Selection
from schemas.errors import InvalidRequestError
from schemas.records.generations import GenerationName, Origin

Json = dict[str, Any]
OnProgress = Callable[[Json], None]
"""Gets the newest counts now and then; `fraction` among them goes from 0 to 1."""

FOREVER_US: Final = 2**63
_DAY_S: Final = 86_400


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @classmethod
    def of(cls, **members: Any) -> Self:
        """Of options of a command.

        Raises:
            InvalidRequestError: a member cannot be; it names the first.
        """
        try:
            return cls(**members)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidRequestError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


class Letters(_Request):
    """Which dead letters are meant; everything that is given must hold."""

    reason: str = Field("", description="Only of this reason's code.")
    tenant: str = Field("", description="Only of this tenant.")
    since_us: int = Field(0, ge=0, description="Written at this time or later, microseconds since 1970.")
    until_us: int = Field(FOREVER_US, ge=0, description="Written before this time, microseconds since 1970.")
    ids: tuple[str, ...] = Field((), description="Only these, as `partition-offset`.")
    max_attempts: int = Field(DEFAULT_CEILING, ge=1, description="For a redrive: leave alone what was tried so often.")

    def to_filter(self) -> LetterFilter:
        """The filter.

        Raises:
            InvalidRequestError: an id is none.
        """
        ids = frozenset(map(LetterId.parse, self.ids))
        return LetterFilter(self.reason, self.tenant, self.since_us, self.until_us, ids)


class Replay(_Request):
    """Which changes are taken in again."""

    since_ms: int = Field(0, ge=0, description="Logged at this time or later, milliseconds since 1970.")
    until_ms: int = Field(0, ge=0, description="Logged before this time; 0: to the end.")
    offsets: tuple[str, ...] = ()
    partitions: tuple[int, ...] = ()
    tenant: str = ""
    skus: tuple[str, ...] = ()
    facets: tuple[str, ...] = ()
    asked: str = Field(
        "", max_length=64, pattern="^[0-9a-f]*$", description="Names the request: an interrupted one of the same name is gone on with."
    )  # fmt: skip
    restart: bool = Field(False, description="Forget an interrupted run of the same name.")
    apply: bool = Field(False, description="False counts only, and compares with what is stored.")
    records_per_s: float | None = Field(None, gt=0, description="Most records a second.")

    def to_selection(self) -> Selection:
        """The stretch of the log.

        Raises:
            InvalidRequestError, InvalidEventError: a value cannot be.
        """
        return Selection.of(self.model_dump())


class TombstoneGcRequest(_Request):
    """Which tombstones are removed."""

    older_than_s: float = Field(15 * _DAY_S, ge=0, description="Last heard of at least so long ago, seconds.")
    tenant: str = ""
    apply: bool = False
    prune_journal: bool = Field(False, description="Forget applied records of that age first.")


class _Facet(_Request):
    tenant: str = Field(description="Whose facet.")
    facet: str = Field(description="`item`, `price` or `stock`, or one instance such as `stock:branch-2`.")
    note: str = Field("", max_length=500, description="Why, for whoever reads the history.")
    apply: bool = Field(False, description="False only says what would be.")


class HandoverRequest(_Facet):
    """A facet and the source that is to feed it."""

    to: str = Field(description="Name of the source: of the mapping, of a connector, or of canonical events.")


class ResetRequest(_Facet):
    """A facet whose rows are to be freed."""


class BuildBody(_Request):
    """Which generation is built."""

    name: GenerationName
    model: str = Field("", description="The text encoder's model; empty: that of the settings.")
    assignments: tuple[str, ...] = Field((), alias="set", description="Settings of the encoder as NAME=VALUE.")
    origin: Origin | None = Field(
        None, alias="from", description="Where to begin; null: the journal, where it is whole."
    )
    take_over: bool = Field(True, description="Whether vectors of the same text and model are taken over.")


class JudgedBody(_Request):
    """Figures of judged queries, as `ferroflux generation compare --json` prints them."""

    judged: dict[str, Any] | None = None
    force: str = Field("", max_length=500, description="The reason why the gate is overruled.")

    def figures(self) -> JudgedFigures | None:
        """The figures.

        Raises:
            InvalidRequestError: a member is missing.
        """
        if self.judged is None:
            return None
        try:
            return JudgedFigures.from_json(self.judged)
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidRequestError(f"judged: {error!r}") from error


class Operations(Protocol):
    """Every method may raise a FerrofluxError whose sentence says the remedy."""

    async def letters(self, asked: Letters, limit: int) -> Json:
        """How many dead letters are open, and the oldest of them without their originals."""
        ...

    async def letter(self, letter_id: LetterId) -> Json:
        """One dead letter with its original record."""
        ...

    async def redrive(self, asked: Letters) -> Json:
        """Send the records of open letters to their topics again, each once."""
        ...

    async def discard(self, asked: Letters) -> Json:
        """Mark open letters as done with."""
        ...

    async def replay(self, asked: Replay, on_progress: OnProgress) -> Json:
        """Take a stretch of the change log in again; cancelled, the same request goes on where it stopped."""
        ...

    async def tombstone_gc(self, asked: TombstoneGcRequest) -> Json:
        """Remove tombstones that no replay can reach."""
        ...

    async def facets(self, tenant: str) -> Json:
        """Who feeds which facet, and who did before; of one tenant, or of all (an empty name)."""
        ...

    async def hand_over(self, asked: HandoverRequest) -> Json:
        """Hand a facet over to another source."""
        ...

    async def reset(self, asked: ResetRequest) -> Json:
        """Free a facet's rows: the next change of each wins."""
        ...

    async def generations(self) -> Json:
        """Every generation, which is live, and who is ready for which."""
        ...

    async def build(self, asked: BuildBody, on_progress: OnProgress) -> Json:
        """Build a generation until it follows live changes; cancelled, the same request goes on where it stopped."""
        ...

    async def objections(self, name: str, judged: JudgedBody) -> Json:
        """What speaks against promoting a generation."""
        ...

    async def promote(self, name: str, judged: JudgedBody) -> Json:
        """Make a generation the live one, where the gate lets it through; says how many workers answer from it after a while."""
        ...

    async def roll_back(self) -> Json:
        """Make the generation before the live one again; says as much."""
        ...

    async def drop(self, name: str, judged: JudgedBody) -> Json:
        """Remove a generation that is not live."""
        ...
