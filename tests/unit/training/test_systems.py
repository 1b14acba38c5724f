"""What the lab puts in the place of a store or an encoder, and the baselines, against definitions."""

import asyncio
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.filters import UNKNOWN, CatalogueFilter
from retrieval.testing import HashingEncoder
from retrieval.vectors.memory import MemoryIndex
from retrieval.vectors.port import PointPayload, PointWrite
from retrieval.vectors.spaces import TEXT_VECTOR
from schemas.errors import ConfigurationError
from schemas.identity import SkuKey, TenantId
from tests.unit.training.doubles import tiny_catalogue
from training.systems.baselines import BaselineKind, PlainBm25, baseline, language_of, plain_analysis
from training.systems.cached_encoders import CachedEncoder
from training.systems.indexed_catalogue import MatrixIndex
from training.systems.port import memoised
from training.systems.settings import EvaluationSettings, parse_overrides, setting_values


def write(sku: str, vector: list[float], **payload) -> PointWrite:
    filterable = UNKNOWN | {name: payload.pop(name) for name in UNKNOWN if name in payload}
    fields = {"rev": 1, "alive": True, "state": b"{}", "filterable": filterable, **payload}
    return PointWrite(SkuKey.of("t", sku), None, PointPayload(**fields), {TEXT_VECTOR: np.array(vector, np.float32)})


def found(index, vector, limit, **catalogue_filter) -> list[tuple[str, float]]:
    hits = asyncio.run(
        index.search(
            np.array(vector, np.float32),
            using=TEXT_VECTOR,
            catalogue_filter=CatalogueFilter.of(TenantId("t"), **catalogue_filter),
            limit=limit,
        )
    )
    return [(str(hit.key.sku), round(hit.score, 5)) for hit in hits]


component = st.sampled_from([0.0, 0.25, 0.5, 1.0])  # few values make many ties


@given(st.lists(st.tuples(component, component), max_size=12), st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_the_matrix_finds_what_the_reference_finds(vectors, limit):
    writes = [write(f"S{place:02d}", [1.0, *vector]) for place, vector in enumerate(vectors)]
    matrix, reference = MatrixIndex(), MemoryIndex()
    for index in (matrix, reference):
        asyncio.run(index.write(writes))
    hits = found(matrix, [0.6, 0.8, 0.0], limit)
    all_hits = found(reference, [0.6, 0.8, 0.0], len(vectors) + 1)
    # Among equal scores the order is the last bit's, which a matrix product and a loop may round differently.
    assert [score for _, score in hits] == [score for _, score in all_hits[:limit]]
    assert set(hits) <= set(all_hits)


def test_the_matrix_hides_the_dead_and_honours_conditions():
    index = MatrixIndex()
    asyncio.run(index.write([write("A", [1, 0]), write("B", [1, 0], alive=False), write("C", [1, 0], price=5.0)]))
    assert [sku for sku, _ in found(index, [1, 0], 9)] == ["A", "C"]
    assert [sku for sku, _ in found(index, [1, 0], 9, price_min=1.0)] == ["C"]


def test_the_matrix_sees_later_writes():
    index = MatrixIndex()
    asyncio.run(index.write([write("A", [1, 0])]))
    assert len(found(index, [1, 0], 9)) == 1
    asyncio.run(index.write([write("B", [0, 1])]))
    assert len(found(index, [1, 0], 9)) == 2


def test_a_vector_is_computed_once_for_all_processes(tmp_path):
    first = CachedEncoder(HashingEncoder(16), tmp_path)
    vectors = first.encode_passages(["martillo", "broca", "martillo"])
    assert first.computed == 2
    first.flush()
    second = CachedEncoder(HashingEncoder(16), tmp_path)
    assert np.array_equal(second.encode_passages(["broca", "martillo"]), vectors[[1, 0]])
    assert second.computed == 0


def test_queries_and_passages_of_one_text_are_kept_apart(tmp_path):
    encoder = CachedEncoder(HashingEncoder(16), tmp_path)
    encoder.encode_passages(["broca"])
    encoder.encode_queries(["broca"])
    assert encoder.computed == 2


def test_vectors_of_different_models_never_meet(tmp_path):
    small = CachedEncoder(HashingEncoder(16), tmp_path)
    small.encode_queries(["broca"])
    small.flush()
    large = CachedEncoder(HashingEncoder(32), tmp_path)
    assert large.encode_queries(["broca"]).shape == (1, 32)
    assert large.encode_queries([]).shape == (0, 32)


def test_a_segment_that_was_not_finished_is_not_read(tmp_path):
    encoder = CachedEncoder(HashingEncoder(16), tmp_path)
    encoder.encode_queries(["broca"])
    encoder.flush()
    (keys,) = (tmp_path / encoder.revision.id).glob("*.keys.npy")
    keys.unlink()  # a process that was killed between the two files
    assert CachedEncoder(HashingEncoder(16), tmp_path).encode_queries(["broca"]).shape == (1, 16)


class Counting:
    def __init__(self) -> None:
        self.calls = 0
        self.name = "counting"

    def look(self, values, *, limit=3):
        self.calls += 1
        return [values, limit]

    async def wait(self, vector):
        self.calls += 1
        return float(vector.sum())


def test_a_remembering_port_answers_the_same_question_once():
    port = Counting()
    remembering = memoised(port)
    assert remembering.look({1, 2}, limit=5) == remembering.look({2, 1}, limit=5) == [{1, 2}, 5]
    assert port.calls == 1
    assert remembering.look([1, 2]) == [[1, 2], 3]
    assert port.calls == 2
    assert asyncio.run(remembering.wait(np.ones(3))) == asyncio.run(remembering.wait(np.ones(3))) == 3
    assert asyncio.run(remembering.wait(np.zeros(3))) == 0
    assert port.calls == 4
    assert remembering.name == "counting"


def test_bm25_is_that_of_the_definition():
    index = PlainBm25(["broca broca gris", "broca", "martillo"], str.split)
    scores = dict(index.best("broca", 9))
    idf = math.log(1 + (3 - 2 + 0.5) / (2 + 0.5))
    mean_length = 5 / 3

    def expected(frequency, length):
        return idf * frequency * 2.2 / (frequency + 1.2 * (0.25 + 0.75 * length / mean_length))

    assert scores == pytest.approx({0: expected(2, 3), 1: expected(1, 1)})


def test_bm25_finds_nothing_without_a_shared_word():
    assert PlainBm25(["broca"], str.split).best("martillo", 9) == []
    assert PlainBm25([], str.split).best("martillo", 9) == []


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["Llave de paso para agua"], "spanish"),
        (["Drill bit for wood with case"], "english"),
        (["1/2 PVC"], "spanish"),
    ],
)
def test_the_language_of_a_shop_is_told_by_its_small_words(texts, language):
    assert language_of(texts) == language


def test_plain_analysis_folds_and_stems():
    assert plain_analysis("spanish")("TUBERÍAS de ½ pulgada") == plain_analysis("spanish")(
        "tuberia de 1\u20442 pulgadas"
    )
    assert plain_analysis("english")("Drills") == plain_analysis("english")("drilling")


@pytest.mark.parametrize("kind", list(BaselineKind))
async def test_a_baseline_finds_the_product_that_shares_the_words(tmp_path, kind):
    catalogue = await asyncio.to_thread(tiny_catalogue, tmp_path)
    answer = await baseline(kind, catalogue).answer("martillo goma", TenantId("sol"), 10)
    assert answer.skus[0] == "MAR-2"
    assert answer.found_by["MAR-2"]


async def test_the_rrf_baseline_adds_reciprocal_ranks(tmp_path):
    catalogue = await asyncio.to_thread(tiny_catalogue, tmp_path)
    answer = await baseline(BaselineKind.RRF, catalogue).answer("martillo goma", TenantId("sol"), 10)
    gains = {sku: sum(1 / (60 + rank) for rank in ranks.values()) for sku, ranks in answer.found_by.items()}
    assert list(answer.skus) == sorted(gains, key=lambda sku: (-gains[sku], min(answer.found_by[sku].values()), sku))


def test_a_setting_is_changed_by_its_dotted_name():
    settings = EvaluationSettings.patient().changed(
        parse_overrides(["search.rrf_k=33", "search.weights.dense=2.5", "text.weights.title=2"])
    )
    assert (settings.search.rrf_k, settings.text.weights.title) == (33, 2)
    assert dict(setting_values(settings))["search.weights.dense"] == 2.5
    assert settings.search.deadline_s == 60


@pytest.mark.parametrize(
    ("assignment", "sentence"),
    [
        ("search.rrf_k", "not of the form key=value"),
        ("search.rrfk=3", "search.rrfk"),
        ("serch.rrf_k=3", "there is no setting"),
        ("search.rrf_k=many", "search.rrf_k"),
        ("search.rrf_k=-1", "search.rrf_k"),
        ("search.rrf_k=[", "cannot be read"),
        ("search.rrf_k.deep=1", "there is no setting"),
    ],
)
def test_a_setting_that_there_is_not_is_refused(assignment, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        EvaluationSettings().changed(parse_overrides([assignment]))
