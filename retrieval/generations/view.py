"""All generations and the pointer at one moment, folded from the records of the control log, and why a change of them is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from schemas.errors import ConfigurationError, FerrofluxError
from schemas.records.generations import (
    MAIN,
    EncoderChoice,
    Generation,
    GenerationStage,
    Pointer,
    ReplicaReport,
    StageRecord,
)


class GenerationRefusedError(FerrofluxError):
    """This cannot be done to that generation now. `ferroflux generation status` shows where each stands; the message says the remedy."""

    code = "generation_refused"


class GateFailedError(GenerationRefusedError):
    """The gate does not let the generation through. Mend what the message names, or overrule it with --force and a reason."""

    code = "gate_failed"


class PointerMovedError(GenerationRefusedError):
    """Somebody else moved the pointer since this was decided. Look at `ferroflux generation status`, compare again, then decide again."""

    code = "pointer_moved"


class GenerationUnfitError(ConfigurationError):
    """This version or configuration cannot serve the generation. Run the version that built it, or build one with this version."""

    code = "generation_unfit"


log = structlog.get_logger(__name__)

M = TypeVar("M", bound=BaseModel)

POINTER_KEY: Final = "pointer"
_MANIFEST: Final = "generation/"
_CONFIGURED: Final = "configured/"
"""The manifest of `main`; under the other key, the release before would take it for a generation that was built."""
_STAGE: Final = "stage/"
_REPORT: Final = "replica/"

Records = Mapping[str, bytes]
"""Newest value by record key."""
Changes = Mapping[str, bytes | None]
"""Values to write by record key; None forgets the key."""


AS_CONFIGURED: Final = Generation(name=MAIN, collection="", documents="", encoder=EncoderChoice(model=""))
"""`main` to whoever has no settings for it."""


@dataclass(frozen=True, slots=True)
class GenerationView:
    """What there is and which is live. `main` is there from the beginning, unless it was dropped: `configured` describes it.

    `manifests` are those that are recorded.
    """

    manifests: Mapping[str, Generation] = field(default_factory=dict)
    stages: Mapping[str, StageRecord] = field(default_factory=dict)
    pointer: Pointer = field(default_factory=Pointer)
    configured: Generation = AS_CONFIGURED

    def manifest(self, name: str) -> Generation:
        """What this process opens of a generation that there is: for `main`, by its own settings.

        Raises:
            KeyError: there is none of that name.
        """
        return self.configured if name == self.configured.name else self.manifests[name]

    @property
    def live(self) -> str:
        """The generation that answers."""
        return self.pointer.live

    def stage(self, name: str) -> GenerationStage | None:
        """Where a generation stands; None where there is none of that name."""
        record = self.stages.get(name)
        if name == MAIN:
            return GenerationStage.PREPARED if record is None else record.stage
        if name not in self.manifests:
            return None
        return GenerationStage.BUILDING if record is None else record.stage

    def names(self) -> tuple[str, ...]:
        """Every generation that there is, `main` first, then in the order of their making."""
        made = sorted(self.manifests.values(), key=lambda manifest: (manifest.created_us, manifest.name))
        main = () if self.stage(MAIN) is GenerationStage.DROPPED else (MAIN,)
        return (*main, *(manifest.name for manifest in made if manifest.name != MAIN))

    def prepared(self) -> tuple[str, ...]:
        """The generations that are followed and can answer: the live one, the previous one, and those that wait."""
        return tuple(name for name in self.names() if self.stage(name) is GenerationStage.PREPARED)

    def replicated(self) -> tuple[str, ...]:
        """The generations that text replicas hold: also those that are being built, so that they are whole in time."""
        wanted = (GenerationStage.PREPARED, GenerationStage.BUILDING)
        return tuple(name for name in self.names() if self.stage(name) in wanted)


def view_of(records: Records, configured: Generation = AS_CONFIGURED) -> GenerationView:
    """Fold the newest records; one that cannot be read is logged and left out. `configured` is `main` by the process's settings."""
    manifests: dict[str, Generation] = {}
    stages: dict[str, StageRecord] = {}
    pointer = Pointer()
    for key, value in records.items():
        if key.startswith((_MANIFEST, _CONFIGURED)):
            manifest = _read(Generation, key, value)
            if manifest is not None:
                manifests[manifest.name] = manifest
        elif key.startswith(_STAGE):
            stage = _read(StageRecord, key, value)
            if stage is not None:
                stages[key.removeprefix(_STAGE)] = stage
        elif key == POINTER_KEY:
            pointer = _read(Pointer, key, value) or pointer
    return GenerationView(manifests, stages, pointer, configured)


def reports_of(records: Records) -> list[ReplicaReport]:
    """The replicas' newest reports."""
    read = (_read(ReplicaReport, key, value) for key, value in records.items() if is_report(key))
    return sorted((report for report in read if report is not None), key=lambda report: report.replica)


def is_report(key: str) -> bool:
    """Whether a record is a replica's report, which says nothing of what there is."""
    return key.startswith(_REPORT)


def manifest_record(manifest: Generation) -> tuple[str, bytes]:
    """Key and value of a manifest."""
    return f"{_MANIFEST if manifest.identity else _CONFIGURED}{manifest.name}", _bytes(manifest)


def stage_record(name: str, record: StageRecord) -> tuple[str, bytes]:
    """Key and value of a stage."""
    return f"{_STAGE}{name}", _bytes(record)


def pointer_record(pointer: Pointer) -> tuple[str, bytes]:
    """Key and value of the pointer."""
    return POINTER_KEY, _bytes(pointer)


def report_record(report: ReplicaReport) -> tuple[str, bytes]:
    """Key and value of a replica's report."""
    return f"{_REPORT}{report.replica}", _bytes(report)


def keys_of(name: str) -> Iterable[str]:
    """The keys of everything that is recorded of a generation."""
    return f"{_MANIFEST}{name}", f"{_CONFIGURED}{name}", f"{_STAGE}{name}"


def _bytes(record: BaseModel) -> bytes:
    return record.model_dump_json().encode()


def _read(model: type[M], key: str, value: bytes) -> M | None:
    try:
        return model.model_validate_json(value)
    except ValidationError as error:
        log.warning("record of the generations cannot be read", key=key, reason=str(error.errors()[0]["msg"]))
        return None
