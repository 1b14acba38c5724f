"""What may become of generations: each transition is a pure function from the present view to the records to write.

A store calls it with the newest view and writes what it returns in the same atomic step, so what is checked here holds
when it is written.
"""

from __future__ import annotations

from collections.abc import Callable

from retrieval.generations.view import (
    Changes,
    GenerationRefusedError,
    GenerationView,
    PointerMovedError,
    keys_of,
    manifest_record,
    pointer_record,
    stage_record,
)
from schemas.records.generations import MAIN, Generation, GenerationStage, Pointer, StageRecord

Transition = Callable[[GenerationView], Changes]
"""Decides on the newest view; what it raises leaves everything as it was."""


def create(manifest: Generation, *, now_us: int) -> Transition:
    """A new generation, being built. The very same manifest again (a build that is resumed) changes nothing."""

    def decide(view: GenerationView) -> Changes:
        if manifest.name == MAIN:
            raise GenerationRefusedError(f"{MAIN!r} is the generation of the settings; choose another name")
        held = view.manifests.get(manifest.name)
        if held is None:
            taken = {other.collection: other.name for other in view.manifests.values()}
            if manifest.collection in taken:
                raise GenerationRefusedError(
                    f"collection {manifest.collection} belongs to generation {taken[manifest.collection]}"
                )
            building = StageRecord(stage=GenerationStage.BUILDING, at_us=now_us)
            return dict((manifest_record(manifest), stage_record(manifest.name, building)))
        if view.stage(manifest.name) is GenerationStage.DROPPING:
            raise GenerationRefusedError(
                f"{manifest.name} is being dropped: run `ferroflux generation drop {manifest.name}` to its end first"
            )
        if held != manifest:
            raise GenerationRefusedError(
                f"there is a generation {manifest.name} already, made otherwise (model {held.encoder.model}, revision "
                f"{held.revision}, analyser {held.analyser}): choose another name, or drop it first"
            )
        return {}

    return decide


def record(manifest: Generation) -> Transition:
    """What `main` was built with, as whoever opened its stores found; anew where settings or version changed."""

    def decide(view: GenerationView) -> Changes:
        gone = view.stage(manifest.name) is not GenerationStage.PREPARED
        return {} if gone or view.manifests.get(manifest.name) == manifest else dict((manifest_record(manifest),))

    return decide


def mark_prepared(name: str, *, now_us: int, set_apart: int = 0) -> Transition:
    """The build has caught up, without `set_apart` products: from now on the live indexers follow it."""

    def decide(view: GenerationView) -> Changes:
        if view.stage(name) is GenerationStage.PREPARED:
            return {}
        if view.stage(name) is not GenerationStage.BUILDING:
            raise GenerationRefusedError(f"there is no generation {name} that is being built: it was dropped meanwhile")
        return dict(
            (stage_record(name, StageRecord(stage=GenerationStage.PREPARED, at_us=now_us, set_apart=set_apart)),)
        )

    return decide


def promote(name: str, *, expected_epoch: int, now_us: int, forced: str = "") -> Transition:
    """Point to a prepared generation; refused where the pointer has moved since `expected_epoch`."""

    def decide(view: GenerationView) -> Changes:
        pointer = _unmoved(view, expected_epoch)
        _require_prepared(view, name)
        if pointer.live == name:
            raise GenerationRefusedError(f"generation {name} is live already")
        moved = Pointer(live=name, previous=pointer.live, epoch=pointer.epoch + 1, moved_us=now_us, forced=forced)
        return dict((pointer_record(moved),))

    return decide


def roll_back(*, expected_epoch: int, now_us: int) -> Transition:
    """Point to the previous generation again, which was kept up to date."""

    def decide(view: GenerationView) -> Changes:
        pointer = _unmoved(view, expected_epoch)
        if pointer.previous is None:
            raise GenerationRefusedError(
                "no generation was promoted before, or the one before was dropped: none to go back to"
            )
        _require_prepared(view, pointer.previous)
        moved = Pointer(live=pointer.previous, previous=pointer.live, epoch=pointer.epoch + 1, moved_us=now_us)
        return dict((pointer_record(moved),))

    return decide


def begin_drop(name: str, *, now_us: int) -> Transition:
    """Nobody is to work on it any more. The live generation is never dropped."""

    def decide(view: GenerationView) -> Changes:
        stage = view.stage(name)
        if stage is None or stage is GenerationStage.DROPPED:
            raise GenerationRefusedError(f"there is no generation {name}; `ferroflux generation status` lists them")
        if view.pointer.live == name:
            raise GenerationRefusedError(
                f"generation {name} is live and answers queries: promote another, or roll back, before you drop it"
            )
        changes = dict((stage_record(name, StageRecord(stage=GenerationStage.DROPPING, at_us=now_us)),))
        if view.pointer.previous == name:
            # The epoch stands: whoever decided to roll back meanwhile is told that there is nothing to go back to.
            changes |= dict((pointer_record(view.pointer.model_copy(update={"previous": None})),))
        return changes

    return decide


def finish_drop(name: str, *, now_us: int) -> Transition:
    """Its collection and topics are gone: forget it. Of `main` the mark stays, or the settings would bring it back."""

    def decide(view: GenerationView) -> Changes:
        if view.stage(name) is not GenerationStage.DROPPING:
            raise GenerationRefusedError(f"generation {name} is not being dropped")
        changes: dict[str, bytes | None] = dict.fromkeys(keys_of(name))
        if name == MAIN:
            changes |= dict((stage_record(name, StageRecord(stage=GenerationStage.DROPPED, at_us=now_us)),))
        return changes

    return decide


def _unmoved(view: GenerationView, expected_epoch: int) -> Pointer:
    if view.pointer.epoch != expected_epoch:
        raise PointerMovedError(
            f"the pointer moved to {view.pointer.live} since this was decided (epoch {view.pointer.epoch}, not "
            f"{expected_epoch}): look at `ferroflux generation status` and decide again"
        )
    return view.pointer


def _require_prepared(view: GenerationView, name: str) -> None:
    stage = view.stage(name)
    if stage is None or stage is GenerationStage.DROPPED:
        raise GenerationRefusedError(f"there is no generation {name}; `ferroflux generation status` lists them")
    if stage is GenerationStage.DROPPING:
        raise GenerationRefusedError(f"generation {name} is being dropped")
    if stage is GenerationStage.BUILDING:
        raise GenerationRefusedError(
            f"generation {name} is not prepared yet: let `ferroflux generation build {name}` come to its end"
        )
