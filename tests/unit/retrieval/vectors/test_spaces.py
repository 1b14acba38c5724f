"""Spaces and their record: what the release before wrote is the very same, and what differs is refused with what to do."""

from dataclasses import replace

import pytest

from retrieval.testing import HashingEncoder, HashingSparseEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.record import from_record, to_record
from retrieval.vectors.spaces import (
    SPARSE_VECTOR,
    TEXT_VECTOR,
    Distance,
    Provenance,
    SpaceKind,
    Spaces,
    VectorSpace,
    encoders_of,
    require_same_spaces,
    spaces_of,
)
from schemas.errors import ModelMismatchError
from tests.contracts.vector_index_suite import REVISION, key, payload

SPARSE = HashingSparseEncoder()
DENSE_ALONE = spaces_of(HashingEncoder().revision)
BOTH = spaces_of(HashingEncoder(sparse=SPARSE).revision)
SHAPE = VectorSpace("shape", replace(REVISION, model="shapes"))


def test_each_space_has_the_revision_of_its_own_encoder():
    text, words = BOTH.values()
    assert text == DENSE_ALONE[TEXT_VECTOR]
    assert (text.kind, text.dimension, text.distance) == (SpaceKind.DENSE, 64, Distance.COSINE)
    assert (words.kind, words.revision, words.distance) == (SpaceKind.SPARSE, SPARSE.revision.id, Distance.DOT)
    assert encoders_of(HashingEncoder(sparse=SPARSE)).keys() == BOTH.keys()


@pytest.mark.parametrize("encoder", [HashingEncoder(), HashingEncoder(sparse=SPARSE)], ids=["dense", "both"])
def test_the_record_is_that_of_the_release_before_and_is_read_back(encoder):
    spaces = spaces_of(encoder.revision)
    assert spaces.record() == encoder.revision.record()
    assert Spaces.recorded(encoder.revision.record()) == spaces
    assert spaces.pair == encoder.revision.id


def test_a_further_space_stands_in_the_record_by_its_name():
    spaces = Spaces.of([*BOTH.values(), SHAPE])
    assert spaces.record().items() > BOTH.record().items()
    assert Spaces.recorded(spaces.record()) == spaces


@pytest.mark.parametrize("record", [None, {}, {"model": "another program's"}])
def test_no_record_of_ours_declares_no_spaces(record):
    assert Spaces.recorded(record) == {}


@pytest.mark.parametrize(
    ("there", "here", "remedy"),
    [
        (
            DENSE_ALONE,
            BOTH,
            "cannot be added .* generation build NAME.* reuses the other vectors, or unset FERROFLUX_ENC",
        ),
        (DENSE_ALONE, Spaces.of([*DENSE_ALONE.values(), SHAPE]), "space shape.* shapes .* build a generation"),
        (Spaces.of([*BOTH.values(), SHAPE]), BOTH, "shapes .* in the space shape.* grow stale"),
        (BOTH, DENSE_ALONE, "set FERROFLUX_ENCODER__SPARSE__MODEL to it"),
        (
            Spaces.of([*BOTH.values(), SHAPE]),
            Spaces.of([*BOTH.values(), replace(SHAPE, model=replace(SHAPE.model, model="other shapes"))]),
            "its encoder here is other shapes",
        ),
    ],
    ids=["no words", "no shapes", "shapes left out", "words left out", "other shapes"],
)
async def test_a_collection_with_other_spaces_is_refused_with_the_remedy(there, here, remedy):
    index = MemoryIndex()
    await index.prepare(there)
    with pytest.raises(ModelMismatchError, match=remedy):
        await index.prepare(here)
    require_same_spaces(there.record(), there, where="it")


def test_a_payload_of_the_release_before_is_the_provenance_of_every_space_that_it_wrote():
    record = to_record(key("a"), payload(1), "w") | {"text_hash": "h", "text_model": BOTH.pair}
    of_both = from_record(record, BOTH)
    assert of_both.provenance == {name: Provenance("h", space.revision) for name, space in BOTH.items()}
    rewritten = to_record(key("a"), of_both, "w")
    assert rewritten["text_model"] == BOTH[TEXT_VECTOR].revision
    assert from_record(rewritten, BOTH) == of_both
    of_another = from_record(record | {"text_model": "another pair"}, BOTH)
    assert of_another.provenance == {TEXT_VECTOR: Provenance("h", "another pair")}
    alone = from_record(record | {"text_model": DENSE_ALONE.pair}, DENSE_ALONE)
    assert alone.provenance == {TEXT_VECTOR: Provenance("h", DENSE_ALONE[TEXT_VECTOR].revision)}


def test_a_payload_keeps_the_provenance_of_a_further_space():
    spaces = Spaces.of([*BOTH.values(), SHAPE])
    provenance = {name: Provenance(f"of {name}", space.revision) for name, space in spaces.items()}
    held = payload(1, provenance=provenance)
    assert from_record(to_record(key("a"), held, "w"), spaces) == held
    assert held.provenance_of(SPARSE_VECTOR) == Provenance("of splade", SPARSE.revision.id)
    assert payload(1).provenance_of("shape") == Provenance()
