"""The scores equal `CrossEncoder.predict` to 1e-5, for tiny models of every supported kind."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.encoders.export.exporter import prepare_cross_encoder
from retrieval.encoders.models.cache import PreparedModel
from retrieval.rerank.onnx import load_reranker
from retrieval.rerank.port import RerankSettings
from schemas.errors import ConfigurationError, ModelNotFoundError
from tests.support.tiny_models import cross_encoder_folder

QUERIES = ["martillo", "", "broca de 1/2 para drill " * 20, "ñandú 日本語 🔩"]
PASSAGES = ["clavo de steel", "", "tornillo " * 90, "hammer", "hose de saw para martillo", "½ ﬁtting \u200b", "hammer"]

pytestmark = [
    # Importing torch and transformers alone takes longer than the rest of the unit tests.
    pytest.mark.slow,
    # They warn of each other's versions; nothing of ours is in those messages.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"),
]


def _reference(folder: Path, **settings: Any) -> Any:
    return pytest.importorskip("sentence_transformers").CrossEncoder(str(folder), device="cpu", **settings)


def _prepared(folder: Path) -> PreparedModel:
    settings = _settings(folder)
    return prepare_cross_encoder(settings.model, settings.cache_dir)


def _settings(folder: Path, **settings: Any) -> RerankSettings:
    return RerankSettings(model=str(folder), cache_dir=folder.parent / "cache", threads=1, **settings)


def _assert_equal(settings: RerankSettings, reference: Any) -> None:
    reranker = load_reranker(settings)
    assert reranker is not None
    found = []
    for query in QUERIES:
        expected = reference.predict([(query, passage) for passage in PASSAGES])
        found.append(reranker.score(query, PASSAGES))
        np.testing.assert_allclose(found[-1], expected, atol=1e-5, rtol=0)
    assert np.ptp(found[0]) > 1e-3, "scores that do not differ prove nothing"


@pytest.mark.parametrize("family", ["Bert", "XLMRoberta"])
def test_a_cross_encoder_is_built_from_its_weights(tmp_path: Path, family: str, monkeypatch) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny", family)
    reference = _reference(folder)
    monkeypatch.setattr("retrieval.encoders.export.torch_export.find_spec", lambda _name: None)
    _assert_equal(_settings(folder), reference)


def test_a_tokenizer_that_tells_no_texts_apart_is_taken_at_its_word(tmp_path: Path) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny", types=False)
    _assert_equal(_settings(folder), _reference(folder))
    tokenizer = folder / "tokenizer_config.json"
    kept = {name: value for name, value in json.loads(tokenizer.read_text()).items() if name != "model_input_names"}
    tokenizer.write_text(json.dumps(kept))
    _assert_equal(_settings(folder), _reference(folder))


@pytest.mark.parametrize("activation", ["Identity", "Sigmoid", "Tanh"])
def test_the_activation_is_the_folders(tmp_path: Path, activation: str) -> None:
    torch = pytest.importorskip("torch")
    folder = cross_encoder_folder(tmp_path / "tiny")
    saved = tmp_path / "saved"
    _reference(folder, activation_fn=getattr(torch.nn, activation)()).save_pretrained(str(saved))
    _assert_equal(_settings(saved), _reference(saved))


@pytest.mark.parametrize(
    "place",
    [
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity", "version": "5.0.0"}},
    ],
)
def test_older_versions_kept_the_activation_elsewhere(tmp_path: Path, place: dict[str, Any]) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny")
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **place}))
    _assert_equal(_settings(folder), _reference(folder))


def test_the_length_of_a_pair_is_the_settings_and_the_longer_text_is_cut(tmp_path: Path) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny")
    _assert_equal(_settings(folder, max_length=12), _reference(folder, max_length=12))


def test_what_is_no_plain_bert_is_traced_with_torch(tmp_path: Path) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny", hidden_act="relu")
    _assert_equal(_settings(folder), _reference(folder))


def test_a_shipped_graph_is_used_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny")
    reference = _reference(folder)
    prepared = _prepared(folder)
    (folder / "onnx").mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copyfile(prepared.path / name, folder / "onnx" / name)
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(folder / "onnx" / "model.onnx")
    # Optimum's export ends with the logits; ours ends with their activation, under another name.
    (last,) = [node for node in graph.graph.node if node.op_type == "Sigmoid"]
    graph.graph.node.append(onnx.helper.make_node("Identity", [last.input[0]], ["logits"]))
    graph.graph.output[0].name = "logits"
    onnx.save(graph, folder / "onnx" / "model.onnx")
    (folder / "model.safetensors").unlink()
    monkeypatch.setattr("retrieval.encoders.export.torch_export.find_spec", lambda _name: None)
    _assert_equal(_settings(folder), reference)


def test_a_prepared_model_is_exported_once_and_again_when_the_folder_changes(tmp_path: Path) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny")
    prepared = _prepared(folder)
    written = prepared.graph_file.stat().st_mtime_ns
    assert _prepared(folder) == prepared
    assert prepared.graph_file.stat().st_mtime_ns == written
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "layer_norm_eps": 1e-3}))
    assert _prepared(folder).path != prepared.path


def test_a_folder_at_a_url_is_fetched_once(tmp_path: Path) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny")
    settings = RerankSettings(model=f"file://{folder}", cache_dir=tmp_path / "cache", threads=1)
    _assert_equal(settings, _reference(folder))
    shutil.rmtree(folder)
    assert load_reranker(settings) is not None


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), ModelNotFoundError, r"no config\.json"),
        (lambda folder: (folder / "tokenizer.json").unlink(), ConfigurationError, "slow tokenizer"),
        (lambda folder: _change(folder, id2label={"0": "no", "1": "yes"}), ConfigurationError, "2 scores a pair"),
        (lambda folder: _change(folder, architectures=["BertForMaskedLM"]), ConfigurationError, "not a CrossEncoder"),
        (
            lambda folder: _change(folder, sbert_ce_default_activation_function="torch.nn.modules.activation.Softplus"),
            ConfigurationError,
            "Softplus",
        ),
        (lambda folder: _change(folder, num_hidden_layers=3), ConfigurationError, r"encoder\.layer\.2"),
    ],
)
def test_a_folder_that_will_not_do_says_why(
    tmp_path: Path, spoil: Callable[[Path], None], error: type[Exception], message: str
) -> None:
    folder = cross_encoder_folder(tmp_path / "tiny")
    spoil(folder)
    with pytest.raises(error, match=message):
        load_reranker(_settings(folder))


def _change(folder: Path, **config: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **config}))
