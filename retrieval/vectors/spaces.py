"""Vector spaces as data: what a collection declares, what fills each of them, and the record that keeps them from mixing.

The record is a JSON object: in the collection's metadata on a server, in a file beside the shard with Edge. It has the
fields of the text encoder's revision, as `sparse` those of the sparse encoder beside it, and under `spaces`, by name, those
of any further space. It is compared field by field, so the error can say what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

from retrieval.encoders.models.architecture import INT8_MARK, layers_of
from retrieval.encoders.port import ModelRevision, TextEncoder
from retrieval.encoders.settings import LayerPrecision
from retrieval.passages import passage_text
from retrieval.vectors.settings import Quantisation
from schemas.documents import SearchDocument
from schemas.errors import ModelMismatchError
from schemas.version import canonical_digest

RECORD_KEY: Final = "model_revision"
"""Under this key the collection's metadata holds the record."""
TEXT_VECTOR: Final = "text"
"""Name of the dense space of catalogue texts, which every collection has."""
SPARSE_VECTOR: Final = "splade"
"""Name of the sparse space of catalogue texts; only a collection whose revision names a sparse encoder has it."""

Encode = Callable[[Sequence[str]], Iterable[Any]]
"""A space's vectors of these inputs, in their order. Blocking and thread-safe."""


class SpaceKind(StrEnum):
    """What its vectors are: one number a dimension, or weights of a few dimensions."""

    DENSE = "dense"
    SPARSE = "sparse"


class Distance(StrEnum):
    """By what two vectors are compared, in Qdrant's words."""

    COSINE = "Cosine"
    DOT = "Dot"


class Provenance(NamedTuple):
    """Of which input (its digest) and by which model revision a vector was computed; both empty: there is none."""

    hash: str = ""
    revision: str = ""


@dataclass(frozen=True)
class VectorSpace:
    """One kind of vector of a product.

    `model` is the revision of the encoder that fills it, `input_of` gives what the encoder reads of a product;
    `quantisation` None leaves it to the collection's setting. Names and kinds are for good, as are the points.
    """

    name: str
    model: ModelRevision
    kind: SpaceKind = SpaceKind.DENSE
    quantisation: Quantisation | None = None
    input_of: Callable[[SearchDocument], str] = passage_text

    @property
    def dimension(self) -> int:
        """Length of a vector; of a sparse one, the vocabulary's size."""
        return self.model.dimension

    @property
    def distance(self) -> Distance:
        """Dense vectors have unit length; of sparse ones the weights count."""
        return Distance.DOT if self.kind is SpaceKind.SPARSE else Distance.COSINE

    @cached_property
    def revision(self) -> str:
        """Id of the model's revision, as provenance names it."""
        return self.model.id


class Spaces(dict[str, VectorSpace]):
    """A collection's spaces by name, in the order in which they are filled."""

    @classmethod
    def of(cls, spaces: Iterable[VectorSpace]) -> Self:
        """From their declarations."""
        return cls((space.name, space) for space in spaces)

    @classmethod
    def recorded(cls, record: Mapping[str, Any] | None) -> Self:
        """Those of a record; none where there is no record, or it is another program's."""
        if record is None or not record.keys() >= _NECESSARY:
            return cls()
        spaces = spaces_of(_revision_of(record)).values()
        further = record.get("spaces", {}).items()
        return cls.of(
            [*spaces, *(VectorSpace(name, _revision_of(each), SpaceKind(each["kind"])) for name, each in further)]
        )

    def record(self) -> dict[str, Any]:
        """The record; without further spaces it is that of the time before there were any."""
        record = self._text.record()
        further = [space for name, space in self.items() if name not in (TEXT_VECTOR, SPARSE_VECTOR)]
        if further:
            record["spaces"] = {space.name: {**space.model.record(), "kind": str(space.kind)} for space in further}
        return record

    @cached_property
    def pair(self) -> str:
        """Id of the text encoder's revision with the sparse one in it: the provenance that a release before gave both vectors."""
        return self._text.id

    @property
    def _text(self) -> ModelRevision:
        sparse = self.get(SPARSE_VECTOR)
        return replace(self[TEXT_VECTOR].model, sparse=None if sparse is None else sparse.model)


_NECESSARY: Final = {each.name for each in fields(ModelRevision)} - {"max_length", "sparse"}


def spaces_of(revision: ModelRevision) -> Spaces:
    """The declarations: which spaces a text encoder of this revision fills. `encoders_of` says with what."""
    declared = [VectorSpace(TEXT_VECTOR, replace(revision, sparse=None))]
    if revision.sparse is not None:
        declared.append(VectorSpace(SPARSE_VECTOR, revision.sparse, SpaceKind.SPARSE))
    return Spaces.of(declared)


def encoders_of(encoder: TextEncoder) -> dict[str, Encode]:
    """What fills each space of `spaces_of(encoder.revision)`."""
    found: dict[str, Encode] = {TEXT_VECTOR: encoder.encode_passages}
    if encoder.sparse is not None:
        found[SPARSE_VECTOR] = encoder.sparse.encode_passages
    return found


def require_same_spaces(recorded: Mapping[str, Any] | None, spaces: Spaces, *, where: str) -> None:
    """Check that a store has these very spaces, filled by these very encoders; `where` names the store in the error.

    Raises:
        ModelMismatchError: it records others, or none at all.
    """
    revision = spaces[TEXT_VECTOR].model
    if recorded is None:
        raise ModelMismatchError(
            f"{where} records no model revision, so nothing is known of its vectors; "
            f"choose another name for it, or delete it, to start with {revision.model} (revision {spaces.pair})"
        )
    wanted = spaces.record()
    if dict(recorded) == wanted:
        return
    there, here = _beside(recorded), _beside(wanted)
    if _text(recorded) == _text(wanted):
        name = next(name for name in (*there, *here) if there.get(name) != here.get(name))
        raise ModelMismatchError(_mismatch(name, there.get(name), here.get(name), where))
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
        f"is {revision.model} (revision {spaces.pair}); they differ in {differing}. "
        "Start with the recorded model, or rebuild the collection."
    )


def _revision_of(record: Mapping[str, Any]) -> ModelRevision:
    known = {each.name: record[each.name] for each in fields(ModelRevision) if each.name in record}
    sparse = known.get("sparse")
    return ModelRevision(**{**known, "sparse": None if sparse is None else _revision_of(sparse)})


def _beside(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The records of the spaces beside the text's, by name."""
    sparse = record.get("sparse")
    return {**({} if sparse is None else {SPARSE_VECTOR: sparse}), **record.get("spaces", {})}


def _text(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in ("sparse", "spaces")}


def _without_layers(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the mark of 8-bit layers taken out of the quantisation; without another mark that is `none`."""
    kept = [each for each in str(record.get("quantisation")).split(", ") if each != INT8_MARK]
    return {**record, "quantisation": ", ".join(kept) or "none"}


def _layers(record: Mapping[str, Any]) -> LayerPrecision:
    return layers_of(str(record.get("quantisation")))


_SETTINGS: Final = {SPARSE_VECTOR: ("encoder.sparse.model", "FERROFLUX_ENCODER__SPARSE__MODEL")}
"""By which setting, and which variable, a space comes to be there."""
_BUILD: Final = "build a generation with it (`ferroflux generation build NAME`), which reuses the other vectors"


def _mismatch(name: str, there: Mapping[str, Any] | None, here: Mapping[str, Any] | None, where: str) -> str:
    """Only this space differs: either all of a collection's points may have vectors of one encoder in it, or none has."""
    setting, variable = _SETTINGS.get(name, (f"the space {name}", "its encoder"))
    if there is None:
        return (
            f"{where} was written without vectors of the space {name}, but {setting} names {_named(here)}, and they cannot be "
            f"added to the points that are there: {_BUILD}, or unset {variable}"
        )
    if here is None:
        return (
            f"{where} has vectors of {_named(there)} in the space {name}, which would grow stale without their encoder: set "
            f"{variable} to it (a retriever's weight of 0 leaves them unasked), or build a generation without"
        )
    return (
        f"{where} has vectors of {_named(there)} in the space {name}, but its encoder here is {_named(here)}: {_BUILD}"
    )


def _named(record: Mapping[str, Any] | None) -> str:
    record = {key: value for key, value in (record or {}).items() if key != "kind"}
    return f"{record.get('model')} (revision {canonical_digest(record)})"
