"""In which numbers the layers compute where nothing is set, and that 8-bit products are exact on every processor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from retrieval.encoders.factory import load_encoder, prepare_model, prepare_servable
from retrieval.encoders.inference.session import OnnxSession
from retrieval.encoders.models.architecture import layers_of, settle_layers
from retrieval.encoders.settings import EncoderSettings, LayerChoice, LayerPrecision


def _settings(folder: Path, **settings: Any) -> EncoderSettings:
    return EncoderSettings(model=str(folder), cache_dir=folder.parent / "cache", threads=1, **settings)


def test_by_default_a_model_that_is_built_from_weights_gets_int8_layers(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    settings = _settings(folder)
    assert settings.layers is LayerChoice.AUTO
    assert settle_layers(settings).layers is LayerChoice.INT8
    assert load_encoder(settings).revision == load_encoder(_settings(folder, layers="int8")).revision


def test_the_default_models_get_int8_layers() -> None:
    for model in ("multilingual-e5-small", "all-MiniLM-L6-v2"):
        assert settle_layers(EncoderSettings(model=model)).layers is LayerChoice.INT8


def test_by_default_a_model_of_another_kind_keeps_float32(tiny_folder: Callable[..., Path]) -> None:
    assert settle_layers(_settings(tiny_folder(hidden_act="relu", name="relu"))).layers is LayerChoice.FLOAT32
    without = tiny_folder(name="without")
    (without / "model.safetensors").unlink()
    assert settle_layers(_settings(without)).layers is LayerChoice.FLOAT32


def test_on_a_graphics_card_the_default_is_float32(tiny_folder: Callable[..., Path]) -> None:
    settings = _settings(tiny_folder(), providers=("CUDAExecutionProvider", "CPUExecutionProvider"))
    assert settle_layers(settings).layers is LayerChoice.FLOAT32


@pytest.mark.parametrize("written", ["float32", "int8"])
def test_the_default_follows_what_the_collection_records(tiny_folder: Callable[..., Path], written: str) -> None:
    folder = tiny_folder()
    recorded = load_encoder(_settings(folder, layers=written)).revision
    followed = settle_layers(_settings(folder), recorded.record())
    assert followed.layers == written
    assert load_encoder(followed).revision == recorded


def test_a_record_of_another_model_decides_nothing(tiny_folder: Callable[..., Path]) -> None:
    recorded = load_encoder(_settings(tiny_folder(name="before"), layers="float32")).revision
    assert settle_layers(_settings(tiny_folder()), recorded.record()).layers is LayerChoice.INT8


def test_what_is_set_is_taken_at_its_word(tiny_folder: Callable[..., Path]) -> None:
    folder = tiny_folder()
    recorded = load_encoder(_settings(folder, layers="int8")).revision.record()
    assert settle_layers(_settings(folder, layers="float32"), recorded).layers is LayerChoice.FLOAT32


def test_an_image_holds_both_forms_where_the_setting_is_open_and_one_where_it_is_not(
    tiny_folder: Callable[..., Path],
) -> None:
    folder = tiny_folder()
    both = [layers_of(each.manifest.quantisation) for each in prepare_servable(_settings(folder))]
    assert both == [LayerPrecision.INT8, LayerPrecision.FLOAT32]
    assert prepare_servable(_settings(folder, layers="int8")) == [prepare_model(_settings(folder))]
    assert len(prepare_servable(_settings(tiny_folder(name="without"), layers="float32"))) == 1


@pytest.mark.parametrize("rows", [1, 4, 17])
def test_products_of_the_largest_8_bit_numbers_do_not_overflow(tmp_path: Path, rows: int) -> None:
    """Without VNNI, x86 adds two such products in 16 bits: 64 of them gave 4,112 in place of 8,128."""
    width = 64
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["input_ids"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node(
                "DynamicQuantizeMatMul", ["numbers", "weight", "scale"], ["sentence_embedding"], domain="com.microsoft"
            ),
        ],
        "largest",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", width])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, ["rows", 32])],
        [
            numpy_helper.from_array(np.full((width, 32), 127, np.int8), "weight"),
            numpy_helper.from_array(np.ones(32, np.float32), "scale"),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "largest.onnx"
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), path)
    ones = np.ones((rows, width), np.int64)
    products = OnnxSession(path, providers=["CPUExecutionProvider"], threads=1).run(ones, ones)
    np.testing.assert_allclose(products, 127 * width, rtol=1e-4)


def test_the_attention_of_int8_layers_does_not_overflow_either(tmp_path: Path) -> None:
    width, rows = 64, 5
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["input_ids"], ["one_text"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["one_text", "first"], ["numbers"]),
            helper.make_node("DynamicQuantizeLinear", ["numbers"], ["quantised", "scale", "zero"]),
            helper.make_node(
                "QAttention",
                ["quantised", "weight", "bias", "scale", "scales", "", "zero"],
                ["attended"],
                domain="com.microsoft",
                num_heads=2,
            ),
            helper.make_node("Squeeze", ["attended", "first"], ["sentence_embedding"]),
        ],
        "attention",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, [rows, width])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [rows, width])],
        [
            numpy_helper.from_array(np.full((width, 3 * width), 127, np.int8), "weight"),
            numpy_helper.from_array(np.ones(3 * width, np.float32), "scales"),
            numpy_helper.from_array(np.zeros(3 * width, np.float32), "bias"),
            numpy_helper.from_array(np.array([0], np.int64), "first"),
        ],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    path = tmp_path / "attention.onnx"
    onnx.save(helper.make_model(graph, ir_version=9, opset_imports=opsets), path)
    ones = np.ones((rows, width), np.int64)
    values = OnnxSession(path, providers=["CPUExecutionProvider"], threads=1).run(ones, ones)
    np.testing.assert_allclose(values, 127 * width, rtol=1e-4)
