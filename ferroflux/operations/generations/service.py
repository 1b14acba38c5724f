"""The operator's commands on generations, the same for every kind of system: status, gate, promote, roll back, drop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from ferroflux.operations.generations.gate import Evidence, JudgedFigures, Limits, known, objections
from retrieval.generations import transitions
from retrieval.generations.port import GenerationStore
from retrieval.generations.view import (
    AS_CONFIGURED,
    GateFailedError,
    GenerationRefusedError,
    GenerationView,
    Records,
    reports_of,
    view_of,
)
from retrieval.vectors.port import VectorCounts
from runtime.clock import Clock
from runtime.observability.redaction import redacted_value
from schemas.errors import NotReadyError
from schemas.records.generations import Generation, GenerationStage, ReplicaReport

log = structlog.get_logger(__name__)

_LET_GO_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.5


class GenerationFacts(Protocol):
    """What a kind of system knows of its generations."""

    async def counts(self, manifest: Generation) -> VectorCounts:
        """Points of its collection."""
        ...

    async def lag(self, manifest: Generation) -> int:
        """Records of the change log that it has not taken in yet."""
        ...

    async def followers(self, manifest: Generation) -> int:
        """Indexers that still work on it."""
        ...

    async def remove(self, manifest: Generation) -> None:
        """Remove its collection and its documents topic."""
        ...


class GenerationService:
    """Decides on the records of one store, with what the facts say."""

    def __init__(
        self, store: GenerationStore, facts: GenerationFacts, clock: Clock, *, configured: Generation = AS_CONFIGURED
    ) -> None:
        """`configured` is `main`."""
        self._store = store
        self._configured = configured
        self._facts = facts
        self._clock = clock

    async def status(self) -> dict[str, Any]:
        """Every generation with its figures, and every replica that is known."""
        records = await self._store.records()
        view = view_of(records, self._configured)
        return {
            "live": view.live,
            "previous": view.pointer.previous,
            "epoch": view.pointer.epoch,
            "moved_us": view.pointer.moved_us,
            "forced": view.pointer.forced,
            "generations": [await self._described(view, name) for name in view.names()],
            "replicas": [report.model_dump(mode="json") for report in known(reports_of(records), self._clock.now_us())],
        }

    async def view(self) -> GenerationView:
        """The generations and the pointer now."""
        return view_of(await self._store.records(), self._configured)

    async def objections(self, name: str, judged: JudgedFigures | None) -> tuple[list[str], GenerationView]:
        """What the gate says of a generation, and the view that it was said of."""
        records = await self._store.records()
        view = view_of(records, self._configured)
        if view.stage(name) is None:
            raise GenerationRefusedError(f"there is no generation {name}; `ferroflux generation status` lists them")
        evidence = Evidence(
            view=view,
            live=await self._facts.counts(view.manifest(view.live)),
            candidate=await self._facts.counts(view.manifest(name)),
            lag=await self._facts.lag(view.manifest(name)),
            reports=reports_of(records),
            judged=judged,
            now_us=self._clock.now_us(),
        )
        return objections(name, evidence, Limits()), view

    async def promote(self, name: str, judged: JudgedFigures | None, *, force: str = "") -> GenerationView:
        """Move the pointer to the generation where the gate lets it through, or where a reason overrules the gate.

        Raises:
            GateFailedError: the gate does not, and no reason was given.
            GenerationRefusedError: it cannot be promoted at all, or the pointer moved meanwhile.
        """
        found, view = await self.objections(name, judged)
        if found and not force:
            raise GateFailedError(f"generation {name} is not promoted:\n- " + "\n- ".join(found))
        forced = force if found else ""
        moved = await self._store.commit(
            transitions.promote(name, expected_epoch=view.pointer.epoch, now_us=self._clock.now_us(), forced=forced)
        )
        if forced:
            log.warning("promoted against the gate", generation=name, reason=forced, objections=found)
        log.info("promoted", generation=name, before=view.live, epoch=moved.pointer.epoch)
        return moved

    async def roll_back(self) -> GenerationView:
        """Move the pointer back to the generation before, which was kept up to date; no gate stands before it."""
        view = await self.view()
        moved = await self._store.commit(
            transitions.roll_back(expected_epoch=view.pointer.epoch, now_us=self._clock.now_us())
        )
        log.warning("rolled back", generation=moved.live, before=view.live, epoch=moved.pointer.epoch)
        return moved

    async def drop(self, name: str, *, force: str = "", on_wait: Callable[[str], None] = lambda _: None) -> None:
        """Let everybody let go of the generation, then remove it; begun again where it was interrupted.

        Raises:
            GenerationRefusedError: it is live, a worker still answers from it, or it has not sent all dead letters that are its to send.
            NotReadyError: somebody works on it still; the command may be given again.
        """
        records = await self._store.records()
        view = view_of(records, self._configured)
        if view.stage(name) is GenerationStage.PREPARED and view.live != name:
            await self._require_unused(name, view, records, force)
        await self._store.commit(transitions.begin_drop(name, now_us=self._clock.now_us()))
        manifest = view.manifest(name)
        await self._until_let_go(manifest, on_wait)
        await self._facts.remove(manifest)
        await self._store.commit(transitions.finish_drop(name, now_us=self._clock.now_us()))
        log.info("generation dropped", generation=name, forced=force)

    async def followed(self, name: str, *, timeout_s: float) -> tuple[int, int]:
        """Wait until every known worker answers from the generation; how many do, and of how many."""
        gives_up = self._clock.monotonic() + timeout_s
        while True:
            reports = known(reports_of(await self._store.records()), self._clock.now_us())
            workers = [worker for report in reports for worker in report.workers]
            serving = sum(worker.serving == name for worker in workers)
            if (workers and serving == len(workers)) or self._clock.monotonic() >= gives_up:
                return serving, len(workers)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _require_unused(self, name: str, view: GenerationView, records: Records, force: str) -> None:
        using = [
            worker.worker
            for report in known(reports_of(records), self._clock.now_us())
            for worker in report.workers
            if worker.serving == name
        ]
        if using and not force:
            raise GenerationRefusedError(
                f"{len(using)} workers still answer from {name} ({', '.join(using[:3])}): `ferroflux generation status` says "
                "what keeps them from the live one"
            )
        if view.pointer.previous == name and not force:
            lag = await self._facts.lag(view.manifest(name))
            if lag:
                raise GenerationRefusedError(
                    f"{name} was live before and is {lag:,} records behind: dead letters among them are its to send. Wait "
                    "until it has caught up, or give --force with a reason"
                )

    async def _until_let_go(self, manifest: Generation, on_wait: Callable[[str], None]) -> None:
        name, gives_up = manifest.name, self._clock.monotonic() + _LET_GO_S
        while True:
            reports = known(reports_of(await self._store.records()), self._clock.now_us())
            holding = [report.replica for report in reports if _holds(report, name)]
            indexers = await self._facts.followers(manifest)
            if not holding and not indexers:
                return
            waiting = f"{indexers} indexers and {len(holding)} replicas still hold {name}"
            if self._clock.monotonic() >= gives_up:
                raise NotReadyError(
                    f"{waiting} after {_LET_GO_S:.0f} s: see that they run and reach Kafka, then drop it again"
                )
            on_wait(waiting)
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _described(self, view: GenerationView, name: str) -> dict[str, Any]:
        stage = view.stage(name)
        found: dict[str, Any] = {"name": name, "stage": str(stage), "live": name == view.live}
        if (record := view.stages.get(name)) is not None and record.set_apart:
            found["set_apart"] = record.set_apart
        if (recorded := view.manifests.get(name)) is not None:
            # A release before wrote models' URLs into manifests as they were given.
            found |= redacted_value(recorded.model_dump(mode="json", exclude={"name", "starts"}))
        if stage is not GenerationStage.DROPPING:
            manifest = view.manifest(name)
            counts = await self._facts.counts(manifest)
            found |= {
                "products": counts.alive,
                "vectors": counts.with_text_vector,
                "spaces": dict(counts.vectors),
                "lag": await self._facts.lag(manifest),
            }
        return found


def _holds(report: ReplicaReport, name: str) -> bool:
    return name in report.ready or any(name in worker.ready or worker.serving == name for worker in report.workers)
