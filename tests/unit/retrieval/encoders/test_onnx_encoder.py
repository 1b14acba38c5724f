"""The onnxruntime encoder on a tiny model: pooling, truncation, prompts, batching, threads, and clear refusals."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from retrieval.encoders.export.bert import build_bert
from retrieval.encoders.export.routes import save_graph
from retrieval.encoders.factory import load_encoder, prepare_model
from retrieval.encoders.models.architecture import BertConfig
from retrieval.encoders.models.tensors import read_safetensors
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings
from schemas.errors import ConfigurationError

TEXTS = ["martillo", "broca de 1/2 para drill", "clavo " * 60, "", "saw", "tornillo de drill de saw"]


def _encoder(folder: Path, **settings: Any) -> TextEncoder:
    cache = folder.parent / "cache"
    return load_encoder(
        EncoderSettings(model=str(folder), cache_dir=cache, threads=1, **{"layers": "float32", **settings})
    )


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_a_batch_gives_what_each_text_gives_alone(tiny_folder: Callable[..., Path], pooling: str) -> None:
    encoder = _encoder(tiny_folder(pooling), batch_tokens=64)
    together = encoder.encode_passages(TEXTS)
    alone = np.concatenate([encoder.encode_passages([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=2e-6)
    assert encoder.revision.pooling == pooling


def test_the_three_poolings_differ(tiny_folder: Callable[..., Path]) -> None:
    vectors = [
        _encoder(tiny_folder(each, name=each)).encode_queries(["broca de drill"]) for each in ("mean", "cls", "max")
    ]
    assert all(np.abs(a - b).max() > 0.01 for a, b in pairwise(vectors))


def test_a_truncated_vector_is_the_unit_prefix(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    whole, cut = _encoder(folder), _encoder(folder, truncate_dimension=8)
    prefix = whole.encode_passages(TEXTS)[:, :8]
    np.testing.assert_allclose(
        cut.encode_passages(TEXTS), prefix / np.linalg.norm(prefix, axis=1, keepdims=True), atol=1e-6
    )
    assert cut.revision.dimension == 8
    assert cut.revision.id != whole.revision.id


def test_a_folder_without_normalisation_gives_unit_vectors_all_the_same(tiny_folder: Callable[..., Path]) -> None:
    vectors = _encoder(tiny_folder(normalise=False)).encode_passages(TEXTS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_prompts_are_the_folders_unless_chosen(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    own, bare = _encoder(folder), _encoder(folder, query_prompt="", passage_prompt="")
    np.testing.assert_array_equal(own.encode_queries(["saw"]), bare.encode_passages(["query: saw"]))
    np.testing.assert_array_equal(own.encode_passages(["saw"]), bare.encode_queries(["passage: saw"]))
    assert own.revision.id != bare.revision.id


def test_the_length_is_bounded_by_the_setting(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    short = _encoder(folder, max_length=8, passage_prompt="")
    first, second = short.encode_passages(["saw " * 6 + "martillo", "saw " * 6 + "clavo"])
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert short.revision.max_length == 8
    assert _encoder(folder).revision.max_length == 16


def test_lower_casing_is_the_folders_wish(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16, "do_lower_case": True}))
    upper, lower = _encoder(folder).encode_passages(["SAW", "saw"])
    np.testing.assert_allclose(upper, lower, atol=1e-6)


def test_many_threads_get_what_one_gets(tiny_folder: Callable[..., Path]) -> None:
    encoder = _encoder(tiny_folder())
    expected = encoder.encode_passages(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for vectors in pool.map(lambda _: encoder.encode_passages(TEXTS), range(24)):
            np.testing.assert_allclose(vectors, expected, atol=1e-6)


def test_a_shipped_graph_is_adopted_and_pooled(tiny_folder: Callable[..., Path]) -> None:
    built, folder = tiny_folder("mean", name="built"), tiny_folder("mean", name="shipped")
    weights = read_safetensors(folder / "model.safetensors")
    graph = build_bert(BertConfig(layers=2, heads=4, layer_norm_epsilon=1e-12), weights, "mean")
    # The token vectors are the input of the pooling; expose them as optimum does, and drop what follows.
    hidden = next(node.input[1] for node in graph.graph.node if node.op_type == "MatMul" and "Reshape" in node.input[0])
    graph.graph.node.append(onnx.helper.make_node("Identity", [hidden], ["last_hidden_state"]))
    graph.graph.output.append(onnx.helper.make_tensor_value_info("last_hidden_state", 1, ["b", "t", 32]))
    (folder / "onnx").mkdir()
    save_graph(graph, folder / "onnx")
    (folder / "model.safetensors").unlink()
    adopted = _encoder(folder)
    np.testing.assert_allclose(adopted.encode_passages(TEXTS), _encoder(built).encode_passages(TEXTS), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"truncate_dimension": 33}, "truncate_dimension is 33"),
        ({"providers": ("NoSuchProvider",)}, "NoSuchProvider"),
    ],
)
def test_settings_that_cannot_be(tiny_folder: Callable[..., Path], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        _encoder(tiny_folder(), **settings)


def test_a_missing_weight_is_named(tiny_folder: Callable[..., Path]) -> None:
    with pytest.raises(ConfigurationError, match=r"encoder\.layer\.2"):
        _encoder(tiny_folder(num_hidden_layers=3))


def test_another_architecture_without_torch_says_what_to_install(
    tiny_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.encoders.export.torch_export.find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match=r"ferroflux\[training\]"):
        _encoder(tiny_folder(hidden_act="relu"))


def test_a_prepared_model_is_exported_once(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    settings = EncoderSettings(model=str(folder), cache_dir=folder.parent / "cache")
    prepared = prepare_model(settings)
    written = prepared.graph_file.stat().st_mtime_ns
    assert prepare_model(settings) == prepared
    assert prepared.graph_file.stat().st_mtime_ns == written
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "cls"}))
    assert prepare_model(settings).path != prepared.path


def test_a_damaged_prepared_model_is_exported_again(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    settings = EncoderSettings(model=str(folder), cache_dir=folder.parent / "cache")
    prepared = prepare_model(settings)
    weights = prepared.path / "model.onnx.data"
    content = weights.read_bytes()
    weights.write_bytes(content[:-100])
    assert prepare_model(settings).path == prepared.path
    assert weights.read_bytes() == content


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_int8_layers_give_near_vectors_of_another_revision(tiny_folder: Callable[..., Path], pooling: str) -> None:
    folder = tiny_folder(pooling)
    exact, near = _encoder(folder), _encoder(folder, layers="int8")
    cosines = np.sum(exact.encode_passages(TEXTS) * near.encode_passages(TEXTS), axis=1)
    assert cosines.min() > 0.99
    assert near.revision.quantisation == "layers-int8"
    assert near.revision.id != exact.revision.id


def test_int8_layers_give_a_text_one_vector_whatever_stands_beside_it(tiny_folder: Callable[..., Path]) -> None:
    encoder = _encoder(tiny_folder(), layers="int8")
    alone = np.concatenate([encoder.encode_passages([text]) for text in TEXTS])
    np.testing.assert_array_equal(encoder.encode_passages(TEXTS), alone)


def test_int8_layers_of_a_model_that_is_not_built_from_weights_are_refused(tiny_folder: Callable[..., Path]) -> None:
    with pytest.raises(ConfigurationError, match="leave the setting at auto"):
        _encoder(tiny_folder(hidden_act="relu"), layers="int8")
