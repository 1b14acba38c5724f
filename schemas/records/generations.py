"""Generations: a vector collection, a documents topic and a text index that were built together, and which one is live.

These are the record values of the compacted topic `catalog.generations` (in the embedded system, of a file). The first
generation, `main`, is not built by a command: the settings of each process describe it, and whoever has opened its stores
records what they were built with.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.product.building import DocumentPolicy

MAIN: Final = "main"
"""The first generation: the collection, the topic and the encoder of the settings."""

GenerationName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class Origin(StrEnum):
    """What a generation was built from."""

    CHANGES = "changes"
    """The change log from its first record on."""
    DOCUMENTS = "documents"
    """The products of the documents topic with the states of their points, then the change log: it no longer reached back."""


class GenerationStage(StrEnum):
    """How far a generation is."""

    BUILDING = "building"
    PREPARED = "prepared"
    """It has caught up and follows live changes; it can be promoted."""
    DROPPING = "dropping"
    """Nobody works on it any more; its collection and topics are being removed."""
    DROPPED = "dropped"
    """It is gone. Only `main` keeps this mark, or its settings would bring it back."""


class EncoderChoice(BaseModel):
    """The encoder of a generation: what decides where a text lands. How it runs is each process's own setting."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    model: str
    layers: str = "float32"
    query_prompt: str | None = None
    passage_prompt: str | None = None
    max_length: int | None = None
    truncate_dimension: int | None = None
    sparse_model: str = ""
    sparse_max_length: int | None = None


class StoreChoice(BaseModel):
    """How a generation's vector collection is kept: its graph, and how its vectors are quantised."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    quantisation: str = "none"
    m: int = 16
    payload_m: int | None = None
    ef_construct: int = 100


class Generation(BaseModel):
    """The manifest: what a generation is built with. Written before the build begins and never changed; that of `main`, at a start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: GenerationName
    collection: str = Field(description="Vector collection.")
    documents: str = Field(description="Documents topic.")
    encoder: EncoderChoice
    store: StoreChoice | None = Field(None, description="None: as each process's settings have it.")
    revision: str = Field(
        "", description="Id of the encoder's revision, its sparse part with it; another encoder does not serve it."
    )
    text_schema: str = Field("", description="Version of the text index's fields.")
    analyser: str = Field("", description="Version of the text analysis.")
    aliases: str = Field("", description="Digest of the shipped alias table of the version that built it.")
    origin: Origin = Origin.CHANGES
    policy: DocumentPolicy | None = Field(None, description="How several rows become one value; none: not recorded.")
    starts: dict[str, int] = Field(
        default_factory=dict, description="First offset to follow by `topic/partition`, for the origin documents."
    )
    created_us: int = 0

    @property
    def identity(self) -> str:
        """Tells it from an earlier one of its name: consumer groups and folders carry it. Empty for the one of the settings."""
        return f"{self.name}.{self.created_us}" if self.created_us else ""


class StageRecord(BaseModel):
    """Where a generation stands since when."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: GenerationStage
    at_us: int = 0
    set_apart: int = Field(0, description="Products that could not be taken in while it was built; the rest was.")


class Pointer(BaseModel):
    """Which generation answers queries. The epoch counts its moves: a move names the epoch that it was decided on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    live: GenerationName = MAIN
    previous: GenerationName | None = None
    epoch: int = 0
    moved_us: int = Field(0, description="When it moved last, microseconds since 1970; 0: never.")
    forced: str = Field("", description="The reason that was given where the gate was overruled.")


class WorkerReport(BaseModel):
    """One search worker: what it answers from, and what keeps it from each generation; empty text: ready."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    worker: str
    serving: str = ""
    ready: dict[str, str] = Field(default_factory=dict)
    written_us: int = 0


class ReplicaReport(BaseModel):
    """One text replica and the workers beside it: what keeps them from each generation; empty text: ready."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    replica: str
    text_schema: str = ""
    analyser: str = ""
    ready: dict[str, str] = Field(default_factory=dict)
    workers: tuple[WorkerReport, ...] = ()
    written_us: int = 0
