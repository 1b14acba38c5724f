"""The model revision that a collection carries, and the check that keeps vector spaces from mixing.

The record is the revision's fields as a JSON object: in the collection's metadata on a server, in a file beside the
shard with Edge. It is compared field by field, so the error can say what differs and a revision that gains a field in
a later release is told from one that lacks it.
"""

from collections.abc import Mapping
from typing import Any, Final

from retrieval.encoders.models.architecture import INT8_MARK, layers_of
from retrieval.encoders.port import ModelRevision
from retrieval.encoders.settings import LayerPrecision
from schemas.errors import ModelMismatchError
from schemas.version import canonical_digest

RECORD_KEY: Final = "model_revision"
"""Under this key the collection's metadata holds the record."""


def revision_record(revision: ModelRevision) -> dict[str, Any]:
    """The revision as it is stored."""
    return revision.record()


def require_same_model(recorded: Mapping[str, Any] | None, revision: ModelRevision, *, where: str) -> None:
    """Check that a store was written by this very encoder; `where` names the store in the error.

    Raises:
        ModelMismatchError: it records another revision, or none at all.
    """
    if recorded is None:
        raise ModelMismatchError(
            f"{where} records no model revision, so nothing is known of its vectors; "
            f"choose another name for it, or delete it, to start with {revision.model} (revision {revision.id})"
        )
    wanted = revision_record(revision)
    if dict(recorded) == wanted:
        return
    if _without_sparse(recorded) == _without_sparse(wanted):
        raise ModelMismatchError(_sparse_mismatch(recorded.get("sparse"), revision.sparse, where))
    if _without_layers(recorded) == _without_layers(wanted):
        raise ModelMismatchError(
            f"{where} was written with {_layers(recorded)} layers, but this process has {_layers(wanted)} layers: unset "
            "FERROFLUX_ENCODER__LAYERS to follow the collection, or change over by building a generation "
            f"(`ferroflux generation build NAME --set layers={_layers(wanted)}`)"
        )
    differing = ", ".join(
        f"{name}: {recorded.get(name)!r} there, {wanted.get(name)!r} here"
        for name in sorted(wanted.keys() | recorded.keys())
        if recorded.get(name) != wanted.get(name)
    )
    raise ModelMismatchError(
        f"{where} was written by {recorded.get('model')} (revision {canonical_digest(dict(recorded))}), but this encoder "
        f"is {revision.model} (revision {revision.id}); they differ in {differing}. "
        "Start with the recorded model, or rebuild the collection."
    )


def _without_layers(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the mark of 8-bit layers taken out of the quantisation; without another mark that is `none`."""
    kept = [each for each in _marks(record) if each != INT8_MARK]
    return {**record, "quantisation": ", ".join(kept) or "none"}


def _layers(record: Mapping[str, Any]) -> LayerPrecision:
    return layers_of(str(record.get("quantisation")))


def _marks(record: Mapping[str, Any]) -> list[str]:
    return str(record.get("quantisation")).split(", ")


def _without_sparse(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name != "sparse"}


def _sparse_mismatch(recorded: Mapping[str, Any] | None, sparse: ModelRevision | None, where: str) -> str:
    """Only the sparse encoders differ: a collection's points have sparse vectors of one encoder, or none of them has."""
    build = "build a new generation with it, or replay into another collection"
    if recorded is None:
        assert sparse is not None, "the records differ"
        return (
            f"{where} was written without sparse vectors, but encoder.sparse.model names {sparse.model}, and they cannot be "
            f"added to the points that are there: {build}, or unset FERROFLUX_ENCODER__SPARSE__MODEL"
        )
    there = f"{recorded.get('model')} (revision {canonical_digest(dict(recorded))})"
    if sparse is None:
        return (
            f"{where} has sparse vectors of {there}, which would grow stale without their encoder: set "
            "FERROFLUX_ENCODER__SPARSE__MODEL to it (search.weights.sparse = 0 leaves them unasked), or rebuild without"
        )
    return f"{where} has sparse vectors of {there}, but this sparse encoder is {sparse.model} (revision {sparse.id}): {build}"
