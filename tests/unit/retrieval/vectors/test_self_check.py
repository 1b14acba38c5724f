"""The check at a start: stored texts, encoded again, must rank as stored, or the collection is not opened."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from indexer.batch.embedding import OffLoopEncoder
from retrieval.encoders.port import Matrix, ModelRevision
from retrieval.testing import HashingEncoder
from retrieval.vectors import self_check
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.self_check import QUANTISED, SAMPLE, agreement, open_collection
from retrieval.vectors.spaces import TEXT_VECTOR, Provenance, spaces_of
from schemas.errors import ModelMismatchError
from tests.support.indexing.fakes import event, make_pipeline, records_of

WORDS = ("tornillo", "taladro", "pintura", "cable", "codo", "broca", "candado", "manguera")


class Disturbed:
    """The same revision as the encoder within; `how` changes its vectors."""

    def __init__(self, encoder: HashingEncoder, how) -> None:
        self._encoder, self._how = encoder, how
        self.revision: ModelRevision = encoder.revision
        self.sparse = None
        self.texts: list[str] = []

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        return self._how(self._encoder.encode_queries(texts))

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        self.texts += texts
        return self._how(self._encoder.encode_passages(texts))

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        return self._encoder.passage_lengths(texts)


def _as_is(vectors: Matrix) -> Matrix:
    return vectors


def _turned(vectors: Matrix) -> Matrix:
    """As by another model: every number in another place, all vectors alike."""
    return vectors[:, ::-1].copy()


async def _filled(encoder: HashingEncoder, products: int = 40) -> MemoryIndex:
    index = MemoryIndex()
    await index.prepare(spaces_of(encoder.revision))
    pipeline = make_pipeline(index, encoder=OffLoopEncoder(encoder, None))
    rows = [
        event(
            f"S-{number}",
            "item",
            1,
            {"title": f"{WORDS[number % 8]} {WORDS[number % 7]} modelo {number}", "brand": "Acme"},
        )
        for number in range(products)
    ]
    await pipeline.process(records_of(rows))
    return index


async def test_the_encoder_that_wrote_the_collection_opens_it_and_encodes_a_few_texts():
    encoder = HashingEncoder(64)
    index = await _filled(encoder)
    watched = Disturbed(encoder, _as_is)
    await open_collection(index, watched)
    assert len(watched.texts) == SAMPLE
    assert all("modelo" in text for text in watched.texts)


async def test_an_encoder_that_only_calls_itself_the_same_is_refused_with_the_remedy():
    encoder = HashingEncoder(64)
    index = await _filled(encoder)
    with pytest.raises(ModelMismatchError, match=r"do not rank as\s+stored .* build a generation here"):
        await open_collection(index, Disturbed(encoder, _turned))


async def test_one_wrong_text_among_many_is_found():
    encoder = HashingEncoder(64)
    index = await _filled(encoder)

    def one_wrong(vectors: Matrix) -> Matrix:
        return np.concatenate([vectors[:-1], vectors[-1:, ::-1]])

    with pytest.raises(ModelMismatchError):
        await open_collection(index, Disturbed(encoder, one_wrong))


async def test_an_empty_collection_opens_without_inference():
    watched = Disturbed(HashingEncoder(64), _turned)
    await open_collection(MemoryIndex(), watched)
    assert watched.texts == []


async def test_points_of_another_text_or_encoder_or_state_are_not_taken_for_it():
    encoder = HashingEncoder(64)
    index = await _filled(encoder, products=6)
    first = index._points[min(index._points)].payload
    changes = [
        {"provenance": {TEXT_VECTOR: Provenance("of another template", encoder.revision.id)}},
        {"provenance": {TEXT_VECTOR: Provenance(first.provenance_of(TEXT_VECTOR).hash, "another")}},
        {"alive": False},
        {"state": b"cut sho"},
        {"state": b"[]"},
        {"provenance": {}},
    ]
    for (key, point), change in zip(list(index._points.items()), changes, strict=True):
        index._points[key] = replace(point, payload=replace(point.payload, **change))
    watched = Disturbed(encoder, _turned)
    await open_collection(index, watched)
    assert watched.texts == []


def test_agreement_is_whole_for_the_same_vectors():
    vectors = HashingEncoder(64).encode_passages([f"{a} {b}" for a in WORDS for b in WORDS if a < b])
    cosine, displaced = agreement(vectors, vectors)
    assert cosine == pytest.approx(1)
    assert displaced == 0


def test_agreement_measures_the_widest_pair_that_stands_in_the_wrong_order():
    stored = np.array([[1, 0, 0], [0.8, 0.6, 0], [0.6, 0, 0.8]], np.float32)
    again = stored.copy()
    again[0] = (0.9, 0, np.sqrt(1 - 0.81))  # it now is nearer to the third (0.89) than to the second (0.72)
    cosine, displaced = agreement(stored, again)
    assert cosine == pytest.approx(0.9)
    assert displaced == pytest.approx(0.2, abs=1e-6)


@pytest.mark.parametrize(("noise", "passes"), [(1e-4, True), (0.02, False)])
async def test_rounding_passes_and_what_turns_the_order_does_not(noise: float, passes: bool):
    encoder = HashingEncoder(64)
    index = await _filled(encoder)
    drawn = np.random.default_rng(5)

    def noisy(vectors: Matrix) -> Matrix:
        moved = vectors + drawn.normal(0, noise, vectors.shape).astype(np.float32)
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    opening = open_collection(index, Disturbed(encoder, noisy))
    if passes:
        await opening
    else:
        with pytest.raises(ModelMismatchError):
            await opening


async def test_quantised_layers_have_their_own_bounds():
    encoder = HashingEncoder(64)
    revision = replace(encoder.revision, quantisation="embeddings-q4, layers-int8")
    drawn = np.random.default_rng(5)

    def noisy(vectors: Matrix) -> Matrix:
        moved = vectors + drawn.normal(0, 0.006, vectors.shape).astype(np.float32)
        return moved / np.linalg.norm(moved, axis=1, keepdims=True)

    class Int8(HashingEncoder):
        @property
        def revision(self) -> ModelRevision:
            return revision

    int8 = Int8(64)
    index = await _filled(int8)
    await open_collection(index, Disturbed(int8, noisy))
    assert QUANTISED.cosine < 1


class Busy(MemoryIndex):
    """An index that others write to: texts change while their vectors are read, with their revision or, at first, without."""

    def __init__(self, real: MemoryIndex, *, moves: bool, times: int) -> None:
        self._points, self._spaces = real._points, real._spaces
        self._moves, self._times = moves, times

    async def vectors(self, keys, *, using):
        found = dict(await super().vectors(keys, using=using))
        first = min(found)
        if self._times:
            self._times -= 1
            found[first] = found[first][::-1].copy()
            if self._moves:
                held = self._points[first]
                self._points[first] = replace(held, payload=replace(held.payload, rev=held.payload.rev + 1))
        return found


@pytest.mark.parametrize(("moves", "times"), [(True, 50), (False, 2)])
async def test_changes_meanwhile_are_no_other_encoder(moves, times, monkeypatch):
    monkeypatch.setattr(self_check, "_AGAIN_S", 0.0)
    encoder = HashingEncoder(64)
    await open_collection(Busy(await _filled(encoder), moves=moves, times=times), encoder)


async def test_what_differs_each_time_is_another_encoder(monkeypatch):
    monkeypatch.setattr(self_check, "_AGAIN_S", 0.0)
    encoder = HashingEncoder(64)
    with pytest.raises(ModelMismatchError):
        await open_collection(Busy(await _filled(encoder), moves=False, times=50), encoder)
