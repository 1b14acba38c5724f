"""What is put on BERT's token vectors besides pooling: a score of a pair, and weights over the vocabulary.

pair of texts ─ layers ─ first token ─ dense ─ tanh ─ linear ─ activation ─▶ one score        (cross-encoder)
text ─ layers ─ dense ─ gelu ─ norm ─ one logit a word ─ ReLU ─ max over tokens ─ log(1 + x) ─▶ word weights   (SPLADE)
"""

from collections.abc import Callable, Mapping

import numpy as np
import onnx

from retrieval.encoders.export.bert import BertLayers
from retrieval.encoders.export.graph import ATTENTION_MASK, INPUT_IDS, TOKEN_TYPE_IDS, GraphBuilder
from retrieval.encoders.models.architecture import BertConfig
from retrieval.encoders.models.tensors import Weight, dense


def build_cross_encoder(
    config: BertConfig, weights: Mapping[str, Weight], activation: str, *, token_types: bool
) -> onnx.ModelProto:
    """The graph from the token ids of a pair to its score [batch, 1], as `*ForSequenceClassification` computes it.

    Raises:
        KeyError: a weight is missing.
    """
    graph = GraphBuilder()
    layers = BertLayers(graph, config, weights)
    pairs = token_types and layers.token_types > 1
    hidden = layers.hidden(pairs=pairs)
    first = graph.node("Gather", hidden, graph.constant("first", np.array(0, np.int64)), axis=1)
    # BERT has the dense layer in its pooler, RoBERTa in its head.
    inner, outer = (
        ("pooler.dense", "classifier")
        if "classifier.weight" in weights
        else ("classifier.dense", "classifier.out_proj")
    )
    pooled = graph.node("Tanh", _linear(graph, layers, inner, first))
    score = with_activation(graph, _linear(graph, layers, outer, pooled), activation)
    inputs = (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS) if pairs else (INPUT_IDS, ATTENTION_MASK)
    return graph.finish("cross-encoder", score, 1, inputs=inputs)


def with_activation(graph: GraphBuilder, logits: str, activation: str) -> str:
    """The score of a logit."""
    return logits if activation == "Identity" else graph.node(activation, logits)


def build_splade(
    config: BertConfig, weights: Mapping[str, Weight], pool: Callable[[GraphBuilder, str], str]
) -> onnx.ModelProto:
    """The graph from token ids to a weight for each word of the vocabulary [batch, words], as `*ForMaskedLM` with `pool`.

    Raises:
        KeyError: a weight is missing.
    """
    graph = GraphBuilder()
    layers = BertLayers(graph, config, weights)
    hidden = layers.hidden()
    bert = "cls.predictions.transform.dense.weight" in weights
    transform, norm, decoder, bias = (
        ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm", "cls.predictions.decoder.weight", "cls.predictions.bias")
        if bert
        else ("lm_head.dense", "lm_head.layer_norm", "lm_head.decoder.weight", "lm_head.bias")
    )  # fmt: skip
    widened = layers.gelu(transform, hidden)
    normalised = layers.normalise(norm, widened)
    # The output's words are the input's: a checkpoint keeps the table once.
    table = dense(weights.get(decoder, weights["embeddings.word_embeddings.weight"]))
    logits = graph.node(
        "Add", graph.node("MatMul", normalised, graph.constant("words.out", table.T)), layers.constant(bias)
    )
    return graph.finish("splade", pool(graph, logits), table.shape[0])


def pool_words(graph: GraphBuilder, logits: str, pooling: str, activation: str) -> str:
    """Word weights [batch, words] of logits [batch, tokens, words]: SpladePooling of sentence-transformers.

    The activation is log(1 + ReLU(x)) (Formal et al., *SPLADE v2*, arXiv 2109.10086), with `log1p_relu` once more the
    logarithm (OpenSearch's variant, arXiv 2504.14839). It never falls, so the maximum is taken first and the activation of it
    alone. Only operators whose form did not change between opsets are used: these nodes are appended to others' graphs too.
    """
    as_column = graph.constant("splade.column", np.array([0, -1, 1], np.int64))
    flat = graph.constant("splade.flat", np.array([0, -1], np.int64))
    mask = graph.node("Reshape", graph.node("Cast", ATTENTION_MASK, to=onnx.TensorProto.FLOAT), as_column)
    masked = graph.node("Mul", logits, mask)
    if pooling == "sum":
        weighted = _log1p(graph, masked, activation)
        as_row = graph.constant("splade.row", np.array([0, 1, -1], np.int64))
        ones = graph.node("Reshape", graph.node("Cast", ATTENTION_MASK, to=onnx.TensorProto.FLOAT), as_row)
        return graph.node("Reshape", graph.node("MatMul", ones, weighted), flat)
    turned = graph.node("Transpose", masked, perm=[0, 2, 1])
    return _log1p(graph, graph.node("Reshape", graph.node("GlobalMaxPool", turned), flat), activation)


def _log1p(graph: GraphBuilder, value: str, activation: str) -> str:
    one = graph.constant("splade.one", np.array(1, np.float32))
    weight = graph.node("Relu", value)
    for _ in range(2 if activation == "log1p_relu" else 1):
        weight = graph.node("Log", graph.node("Add", weight, one))
    return weight


def _linear(graph: GraphBuilder, layers: BertLayers, name: str, value: str) -> str:
    return graph.node("Gemm", value, layers.constant(f"{name}.weight"), layers.constant(f"{name}.bias"), transB=1)
