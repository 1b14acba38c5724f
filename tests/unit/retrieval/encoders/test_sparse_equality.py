"""The word weights equal `SparseEncoder.encode` to 1e-5, for tiny models of every supported kind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.encoders.export.exporter import prepare_sparse
from retrieval.encoders.factory import load_encoder, load_sparse
from retrieval.encoders.port import SparseVector
from retrieval.encoders.settings import EncoderSettings, SparseSettings
from schemas.errors import ConfigurationError, ModelNotFoundError
from tests.support.tiny_models import masked_language_folder

TEXTS = ["martillo de steel", "", "tornillo " * 90, "broca 1/2 para drill saw", "ñandú 日本語 🔩", "hose"]

pytestmark = [
    # Importing torch and transformers alone takes longer than the rest of the unit tests.
    pytest.mark.slow,
    # They warn of each other's versions; nothing of ours is in those messages.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def _reference(folder: Path) -> Any:
    return pytest.importorskip("sentence_transformers").SparseEncoder(str(folder), device="cpu")


def _settings(folder: Path, **settings: Any) -> EncoderSettings:
    sparse = SparseSettings(model=str(folder), batch_tokens=64, **settings)
    return EncoderSettings(cache_dir=folder.parent / "cache", threads=1, sparse=sparse)


def _dense(vectors: list[SparseVector], words: int) -> Any:
    matrix = np.zeros((len(vectors), words), np.float32)
    for row, vector in zip(matrix, vectors, strict=True):
        row[vector.indices] = vector.values
    return matrix


def _assert_equal(settings: EncoderSettings, reference: Any) -> None:
    encoder = load_sparse(settings)
    assert encoder is not None
    words = encoder.revision.dimension
    for ours, theirs in (
        (encoder.encode_queries(TEXTS), reference.encode_query(TEXTS)),
        (encoder.encode_passages(TEXTS), reference.encode_document(TEXTS)),
    ):
        expected = theirs.to_dense().numpy()
        assert (expected > 0.01).sum() > len(TEXTS), "weights that are all nothing prove nothing"
        # Weights are sums of logits, up to ten: float32 keeps seven digits of them, and processors add in other orders.
        np.testing.assert_allclose(_dense(ours, words), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("family", ["Bert", "XLMRoberta"])
def test_a_masked_language_model_is_built_from_its_weights(
    tmp_path: Path, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = masked_language_folder(tmp_path / "tiny", family)
    reference = _reference(folder)
    monkeypatch.setattr("retrieval.encoders.export.torch_export.find_spec", lambda _name: None)
    _assert_equal(_settings(folder), reference)


@pytest.mark.parametrize("strategy", ["max", "sum"])
@pytest.mark.parametrize("activation", ["relu", "log1p_relu"])
def test_a_saved_encoder_has_its_pooling_and_its_prompts(tmp_path: Path, strategy: str, activation: str) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    splade_pooling = pytest.importorskip("sentence_transformers.sparse_encoder.modules").SpladePooling
    reference = _reference(masked_language_folder(tmp_path / "bare"))
    pooled = sentence_transformers.SparseEncoder(
        modules=[reference[0], splade_pooling(pooling_strategy=strategy, activation_function=activation)],
        prompts={"query": "hose ", "document": "saw "},
        device="cpu",
    )
    saved = tmp_path / "saved"
    pooled.save_pretrained(str(saved))
    settings = _settings(saved)
    _assert_equal(settings, _reference(saved))
    assert prepare_sparse(settings).manifest.pooling == f"splade-{strategy}-{activation}"


def test_what_is_no_plain_bert_is_traced_with_torch(tmp_path: Path) -> None:
    folder = masked_language_folder(tmp_path / "tiny", hidden_act="relu")
    _assert_equal(_settings(folder), _reference(folder))


def test_a_shipped_graph_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx = pytest.importorskip("onnx")
    folder = masked_language_folder(tmp_path / "tiny")
    reference = _reference(folder)
    prepared = prepare_sparse(_settings(folder))
    graph = onnx.load(prepared.graph_file)
    # Optimum's export ends with the logits: what goes into the mask's product.
    (masked,) = [node for node in graph.graph.node if node.op_type == "Mul"]
    graph.graph.node.append(onnx.helper.make_node("Identity", [masked.input[0]], ["logits"]))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("logits", 1, ["b", "t", "v"]))
    (folder / "onnx").mkdir()
    onnx.save(graph, folder / "onnx" / "model.onnx")
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("retrieval.encoders.export.torch_export.find_spec", lambda _name: None)
    _assert_equal(_settings(folder), reference)


def test_the_encoder_carries_it_and_its_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = masked_language_folder(tmp_path / "tiny")
    with_sparse = EncoderSettings(
        model="all-MiniLM-L6-v2", threads=1, sparse=SparseSettings(model=str(folder), max_length=12)
    )
    monkeypatch.setattr("retrieval.encoders.factory.prepare_sparse", lambda settings: prepare_sparse(_settings(folder)))
    encoder, alone = load_encoder(with_sparse), load_encoder(EncoderSettings(model="all-MiniLM-L6-v2", threads=1))
    assert encoder.sparse is not None
    assert encoder.revision.sparse == encoder.sparse.revision
    assert encoder.sparse.revision.max_length == 12
    assert encoder.revision.id != alone.revision.id
    assert "sparse" not in alone.revision.record()


def test_a_folder_at_a_url_is_fetched_once(tmp_path: Path) -> None:
    folder = masked_language_folder(tmp_path / "tiny")
    settings = EncoderSettings(cache_dir=tmp_path / "cache", threads=1, sparse=SparseSettings(model=f"file://{folder}"))
    _assert_equal(settings, _reference(folder))
    shutil.rmtree(folder)
    assert load_sparse(settings) is not None


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), ModelNotFoundError, r"no config\.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), ConfigurationError, "slow tokenizer"),
        (lambda folder: _change(folder, architectures=["BertModel"]), ConfigurationError, "not a SparseEncoder"),
        (lambda folder: _change(folder, num_hidden_layers=3), ConfigurationError, r"encoder\.layer\.2"),
        (
            lambda folder: (folder / "modules.json").write_text('[{"type": "x.Router", "path": ""}]'),
            ConfigurationError,
            "encodes both alike",
        ),
    ],
)
def test_a_folder_that_will_not_do_says_why(
    tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    folder = masked_language_folder(tmp_path / "tiny")
    spoil(folder)
    with pytest.raises(error, match=message):
        load_sparse(_settings(folder))


def test_a_folder_that_is_not_there_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"encoder\.sparse\.model"):
        load_sparse(_settings(tmp_path / "nothing"))


def _change(folder: Path, **config: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
