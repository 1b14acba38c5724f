"""BERT and (XLM-)RoBERTa as an ONNX graph of onnxruntime's fused operators, built straight from the weights: no torch, no tracing.

Each layer is five fused nodes and three plain products: attention with its three projections in one, add-and-normalise
twice with the bias before it, and the erf GELU with its bias. The numbers stay within 1e-5 of transformers' models.
RoBERTa's layers are BERT's; its positions begin behind the padding id.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx

from retrieval.encoders.export.graph import (
    ATTENTION_MASK,
    INPUT_IDS,
    MICROSOFT,
    TOKEN_TYPE_IDS,
    GraphBuilder,
    pool_and_normalise,
)
from retrieval.encoders.models.architecture import BertConfig
from retrieval.encoders.models.tensors import Weight, dense
from retrieval.encoders.port import Matrix
from retrieval.encoders.settings import LayerPrecision

_INT8_LARGEST: Final = 127


def without_prefix(weights: Mapping[str, Weight]) -> dict[str, Weight]:
    """Names as BertModel has them; a checkpoint with a head keeps the model under `bert.` or `roberta.`."""
    return {name.removeprefix("bert.").removeprefix("roberta."): weight for name, weight in weights.items()}


def build_bert(
    config: BertConfig,
    weights: Mapping[str, Weight],
    pooling: str,
    precision: LayerPrecision = LayerPrecision.FLOAT32,
) -> onnx.ModelProto:
    """The whole encoder from token ids to unit vectors; `weights` under transformers' names without a prefix.

    With `int8`, the linear layers multiply 8-bit weights (symmetric, a scale a column) with activations that are
    quantised as they come (one scale a call, so a text's vector depends on the texts computed with it).

    Raises:
        KeyError: a weight is missing.
    """
    graph = GraphBuilder()
    layers = BertLayers(graph, config, weights, precision)
    hidden = layers.hidden()
    return graph.finish("bert", pool_and_normalise(graph, hidden, pooling), layers.width)


class BertLayers:
    """Adds embeddings and layers to a graph; a head takes it from there, with the same ways to name its weights."""

    def __init__(
        self,
        graph: GraphBuilder,
        config: BertConfig,
        weights: Mapping[str, Weight],
        precision: LayerPrecision = LayerPrecision.FLOAT32,
    ) -> None:
        self._config = config
        self._weights = weights
        self._graph = graph
        self._precision = precision

    @property
    def width(self) -> int:
        """Numbers of a token's vector."""
        return int(self._weights["embeddings.position_embeddings.weight"].shape[1])

    @property
    def token_types(self) -> int:
        """How many kinds of token the model tells apart; the second text of a pair is of the second kind, where there is one."""
        return int(self._weights["embeddings.token_type_embeddings.weight"].shape[0])

    def hidden(self, *, pairs: bool = False) -> str:
        """Token vectors [batch, tokens, width]; with `pairs`, the graph reads `token_type_ids` too."""
        graph = self._graph
        mask = graph.node("Cast", ATTENTION_MASK, to=onnx.TensorProto.INT32)
        hidden = self._embeddings(pairs=pairs)
        for layer in range(self._config.layers):
            hidden = self._layer(f"encoder.layer.{layer}", hidden, mask)
        return hidden

    def _embeddings(self, *, pairs: bool) -> str:
        graph = self._graph
        words = graph.gather_rows("words", self._weights["embeddings.word_embeddings.weight"], INPUT_IDS)
        types = self._array("embeddings.token_type_embeddings.weight")
        table = self._array("embeddings.position_embeddings.weight")[self._config.first_position :]
        if pairs:
            words = graph.node("Add", words, graph.gather_rows("token_types", types, TOKEN_TYPE_IDS))
        else:
            # A single text has the token type 0 throughout, so its row joins the positions once and for all.
            table = table + types[:1]
        length = graph.node("Shape", INPUT_IDS, start=1, end=2)
        zero = graph.constant("zero", np.array([0], np.int64))
        positions = graph.node("Slice", graph.constant("positions", table), zero, length, zero)
        return self._add_and_normalise("embeddings.LayerNorm", words, positions)

    def _layer(self, layer: str, hidden: str, mask: str) -> str:
        context = self._attend(layer, hidden, mask)
        attended = self.project(f"{layer}.attention.output.dense", context)
        middle = self._add_and_normalise(
            f"{layer}.attention.output.LayerNorm", attended, hidden, bias=f"{layer}.attention.output.dense.bias"
        )
        widened = self.gelu(f"{layer}.intermediate.dense", middle)
        narrowed = self.project(f"{layer}.output.dense", widened)
        return self._add_and_normalise(f"{layer}.output.LayerNorm", narrowed, middle, bias=f"{layer}.output.dense.bias")

    def _attend(self, layer: str, hidden: str, mask: str) -> str:
        """Self-attention, its three projections in one product: [batch, tokens, hidden]."""
        graph = self._graph
        projections = [f"{layer}.attention.self.{each}" for each in ("query", "key", "value")]
        weight = np.concatenate([self._array(f"{p}.weight").T for p in projections], axis=1)
        bias = graph.constant(f"{layer}.qkv.bias", np.concatenate([self._array(f"{p}.bias") for p in projections]))
        if self._precision is LayerPrecision.FLOAT32:
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

    def project(self, name: str, hidden: str) -> str:
        """The linear layer `name` without its bias."""
        weight = self._array(f"{name}.weight").T
        if self._precision is LayerPrecision.FLOAT32:
            return self._graph.node("MatMul", hidden, self._graph.constant(f"{name}.weight", weight))
        return self._graph.node("DynamicQuantizeMatMul", hidden, *self._quantised(name, weight), domain=MICROSOFT)

    def _quantised(self, name: str, weight: Matrix) -> tuple[str, str]:
        """The matrix in symmetric 8-bit integers with a scale for each output column; names of both."""
        scales = np.maximum(np.abs(weight).max(axis=0) / _INT8_LARGEST, np.finfo(np.float32).tiny).astype(np.float32)
        integers = np.clip(np.rint(weight / scales), -_INT8_LARGEST, _INT8_LARGEST).astype(np.int8)
        return self._graph.constant(f"{name}.int8", integers), self._graph.constant(f"{name}.scales", scales)

    def gelu(self, name: str, hidden: str) -> str:
        """The linear layer `name` under the erf GELU."""
        return self._graph.node("BiasGelu", self.project(name, hidden), self.constant(f"{name}.bias"), domain=MICROSOFT)

    def normalise(self, name: str, hidden: str) -> str:
        """Layer normalisation over the last axis."""
        return self._graph.node(
            "LayerNormalization",
            hidden,
            self.constant(f"{name}.weight"),
            self.constant(f"{name}.bias"),
            axis=-1,
            epsilon=self._config.layer_norm_epsilon,
        )

    def _add_and_normalise(self, name: str, hidden: str, residual: str, *, bias: str = "") -> str:
        return self._graph.node(
            "SkipLayerNormalization",
            hidden,
            residual,
            self.constant(f"{name}.weight"),
            self.constant(f"{name}.bias"),
            self.constant(bias) if bias else "",
            domain=MICROSOFT,
            epsilon=self._config.layer_norm_epsilon,
        )

    def constant(self, name: str) -> str:
        """A weight as an initializer of its name."""
        return self._graph.constant(name, self._array(name))

    def _array(self, name: str) -> Matrix:
        return dense(self._weights[name])
