"""BertModel as an ONNX graph of onnxruntime's fused operators, built straight from the weights: no torch, no tracing.

Each layer is five fused nodes and three plain products: attention with its three projections in one, add-and-normalise
twice with the bias before it, and the erf GELU with its bias. The numbers stay within 1e-5 of transformers' BertModel.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx

from retrieval.encoders.export.graph import ATTENTION_MASK, INPUT_IDS, MICROSOFT, GraphBuilder
from retrieval.encoders.export.pooling import pool_and_normalise
from retrieval.encoders.models.tensors import Weight, dense
from retrieval.encoders.port import Matrix
from retrieval.encoders.settings import LayerPrecision

_INT8_LARGEST: Final = 127


@dataclass(frozen=True, slots=True)
class BertConfig:
    """The sizes that the weights alone do not tell."""

    layers: int
    heads: int
    layer_norm_epsilon: float

    @classmethod
    def from_transformers(cls, config: Mapping[str, Any]) -> "BertConfig | None":
        """Read a `config.json`; None where the architecture is not the plain BERT that this module builds."""
        plain = (
            config.get("model_type") == "bert"
            and config.get("hidden_act", "gelu") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and not config.get("is_decoder", False)
        )
        if not plain:
            return None
        return cls(
            layers=config["num_hidden_layers"],
            heads=config["num_attention_heads"],
            layer_norm_epsilon=config.get("layer_norm_eps", 1e-12),
        )


def build_bert(
    config: BertConfig,
    weights: Mapping[str, Weight],
    pooling: str,
    layers: LayerPrecision = LayerPrecision.FLOAT32,
) -> onnx.ModelProto:
    """The whole encoder from token ids to unit vectors; `weights` under transformers' names without a prefix.

    With `int8`, the linear layers multiply 8-bit weights (symmetric, a scale a column) with activations that are
    quantised as they come (one scale a call, so a text's vector depends on the texts computed with it).

    Raises:
        KeyError: a weight is missing.
    """
    return _Bert(config, weights, layers).model(pooling)


class _Bert:
    def __init__(self, config: BertConfig, weights: Mapping[str, Weight], layers: LayerPrecision) -> None:
        self._config = config
        self._weights = weights
        self._layers = layers
        self._graph = GraphBuilder()

    def model(self, pooling: str) -> onnx.ModelProto:
        graph = self._graph
        mask = graph.node("Cast", ATTENTION_MASK, to=onnx.TensorProto.INT32)
        hidden = self._embeddings()
        for layer in range(self._config.layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        width = self._weights["embeddings.position_embeddings.weight"].shape[1]
        return graph.finish("bert", pool_and_normalise(graph, hidden, pooling), width)

    def _embeddings(self) -> str:
        graph = self._graph
        words = graph.gather_rows("words", self._weights["embeddings.word_embeddings.weight"], INPUT_IDS)
        # A single text has the token type 0 throughout, so its row joins the positions once and for all.
        token_types = self._array("embeddings.token_type_embeddings.weight")
        table = self._array("embeddings.position_embeddings.weight") + token_types[:1]
        length = graph.node("Shape", INPUT_IDS, start=1, end=2)
        zero = graph.constant("zero", np.array([0], np.int64))
        positions = graph.node("Slice", graph.constant("positions", table), zero, length, zero)
        return self._add_and_normalise("embeddings.LayerNorm", words, positions)

    def _layer(self, layer: str, hidden: str, mask: str) -> str:
        graph = self._graph
        context = self._attend(layer, hidden, mask)
        attended = self._project(f"{layer}.attention.output.dense", context)
        middle = self._add_and_normalise(
            f"{layer}.attention.output.LayerNorm", attended, hidden, bias=f"{layer}.attention.output.dense.bias"
        )
        widened = graph.node(
            "BiasGelu",
            self._project(f"{layer}.intermediate.dense", middle),
            self._constant(f"{layer}.intermediate.dense.bias"),
            domain=MICROSOFT,
        )
        narrowed = self._project(f"{layer}.output.dense", widened)
        return self._add_and_normalise(f"{layer}.output.LayerNorm", narrowed, middle, bias=f"{layer}.output.dense.bias")

    def _attend(self, layer: str, hidden: str, mask: str) -> str:
        """Self-attention, its three projections in one product: [batch, tokens, hidden]."""
        graph = self._graph
        projections = [f"{layer}.attention.self.{each}" for each in ("query", "key", "value")]
        weight = np.concatenate([self._array(f"{p}.weight").T for p in projections], axis=1)
        bias = graph.constant(f"{layer}.qkv.bias", np.concatenate([self._array(f"{p}.bias") for p in projections]))
        if self._layers is LayerPrecision.FLOAT32:
            return graph.node(
                "Attention",
                hidden,
                graph.constant(f"{layer}.qkv", weight),
                bias,
                mask,
                domain=MICROSOFT,
                num_heads=self._config.heads,
            )
        quantised, scales = self._quantised(f"{layer}.qkv", weight)
        activations, scale, zero = graph.node_of("DynamicQuantizeLinear", hidden, outputs=3)
        return graph.node(
            "QAttention",
            *(activations, quantised, bias, scale, scales, mask, zero),
            domain=MICROSOFT,
            num_heads=self._config.heads,
        )

    def _project(self, name: str, hidden: str) -> str:
        weight = self._array(f"{name}.weight").T
        if self._layers is LayerPrecision.FLOAT32:
            return self._graph.node("MatMul", hidden, self._graph.constant(f"{name}.weight", weight))
        return self._graph.node("DynamicQuantizeMatMul", hidden, *self._quantised(name, weight), domain=MICROSOFT)

    def _quantised(self, name: str, weight: Matrix) -> tuple[str, str]:
        """The matrix in symmetric 8-bit integers with a scale for each output column; names of both."""
        scales = np.maximum(np.abs(weight).max(axis=0) / _INT8_LARGEST, np.finfo(np.float32).tiny).astype(np.float32)
        integers = np.clip(np.rint(weight / scales), -_INT8_LARGEST, _INT8_LARGEST).astype(np.int8)
        return self._graph.constant(f"{name}.int8", integers), self._graph.constant(f"{name}.scales", scales)

    def _add_and_normalise(self, name: str, hidden: str, residual: str, *, bias: str = "") -> str:
        return self._graph.node(
            "SkipLayerNormalization",
            hidden,
            residual,
            self._constant(f"{name}.weight"),
            self._constant(f"{name}.bias"),
            self._constant(bias) if bias else "",
            domain=MICROSOFT,
            epsilon=self._config.layer_norm_epsilon,
        )

    def _constant(self, name: str) -> str:
        return self._graph.constant(name, self._array(name))

    def _array(self, name: str) -> Matrix:
        return dense(self._weights[name])
