"""Which way a folder becomes a graph: built from its weights, adopted as its author exported it, or traced with torch.

A plain BERT or XLM-RoBERTa is built from its weights: fused, and sure to be the weights' own. Otherwise a shipped
`onnx/model.onnx` is taken, with our output appended. Everything else is traced with torch, once, on any machine that has the
training extra.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto, helper

from retrieval.encoders.export.bert import build_bert, without_prefix
from retrieval.encoders.export.graph import (
    ATTENTION_MASK,
    EMBEDDING,
    INPUT_IDS,
    TOKEN_TYPE_IDS,
    GraphBuilder,
    pool_and_normalise,
)
from retrieval.encoders.export.heads import build_cross_encoder, build_splade, pool_words, with_activation
from retrieval.encoders.export.torch_export import TEXT, Traced, export_with_torch
from retrieval.encoders.models.architecture import WEIGHTS_FILE as SAFETENSORS
from retrieval.encoders.models.architecture import BertConfig, poolable
from retrieval.encoders.models.cache import GRAPH_FILE, WEIGHTS_FILE
from retrieval.encoders.models.folders import ModelFolder
from retrieval.encoders.models.tensors import Weight, read_safetensors
from retrieval.encoders.settings import LayerPrecision
from schemas.errors import ConfigurationError

_SHIPPED_GRAPH: Final = Path("onnx", "model.onnx")
"""Where a folder has the graph that its author exported."""
_INLINE_BYTES: Final = 1024

_Build = Callable[[BertConfig, Mapping[str, Weight]], onnx.ModelProto]
_Finish = Callable[[GraphBuilder, str], str]
"""Appends to one of a shipped graph's outputs what makes it ours."""


def build_graph(
    folder: ModelFolder, weights: Mapping[str, Weight] | None, layers: LayerPrecision = LayerPrecision.FLOAT32
) -> onnx.ModelProto:
    """The graph from token ids to unit vectors; `weights` are the model's, where they are not in `model.safetensors`.

    Raises:
        ConfigurationError: the weights are incomplete, torch is needed and not installed, or another graph than one
            built from weights would have to be quantised.
    """
    return _routed(
        folder,
        plain=poolable(folder),
        build=lambda bert, found: build_bert(bert, found, folder.pooling, layers),
        outputs=("last_hidden_state", "token_embeddings"),
        finish=lambda tail, hidden: pool_and_normalise(tail, hidden, folder.pooling),
        traced=TEXT,
        weights=weights,
        layers=layers,
    )


def build_sparse_graph(folder: ModelFolder) -> onnx.ModelProto:
    """The graph from token ids to a weight for each word of the vocabulary.

    Raises:
        ConfigurationError: the weights are incomplete, or torch is needed and not installed.
    """

    def pool(graph: GraphBuilder, logits: str) -> str:
        return pool_words(graph, logits, folder.pooling, folder.activation)

    return _routed(
        folder,
        plain=folder.plain,
        build=lambda bert, found: build_splade(bert, found, pool),
        outputs=("logits", "token_embeddings"),
        finish=pool,
        traced=Traced(
            "SparseEncoder",
            lambda _torch, features: features["sentence_embedding"],
            "plain BERT or XLM-RoBERTa masked language model with SpladePooling",
        ),
    )


def build_cross_encoder_graph(folder: ModelFolder) -> onnx.ModelProto:
    """The graph from the token ids of a pair to its score.

    Raises:
        ConfigurationError: the weights are incomplete, or torch is needed and not installed.
    """
    return _routed(
        folder,
        plain=folder.plain,
        build=lambda bert, found: build_cross_encoder(bert, found, folder.activation, token_types=folder.token_types),
        outputs=("logits", "scores"),
        finish=lambda tail, logits: with_activation(tail, logits, folder.activation),
        traced=Traced(
            "CrossEncoder",
            lambda torch, features: getattr(torch.nn, folder.activation)()(features["scores"]),
            "plain BERT or XLM-RoBERTa for sequence classification",
            (INPUT_IDS, ATTENTION_MASK, TOKEN_TYPE_IDS) if folder.token_types else (INPUT_IDS, ATTENTION_MASK),
        ),
    )


def _routed(
    folder: ModelFolder,
    *,
    plain: bool,
    build: _Build,
    outputs: Sequence[str],
    finish: _Finish,
    traced: Traced,
    weights: Mapping[str, Weight] | None = None,
    layers: LayerPrecision = LayerPrecision.FLOAT32,
) -> onnx.ModelProto:
    bert = BertConfig.from_transformers(folder.config)
    weights_file = folder.transformer_path / SAFETENSORS
    if plain and bert is not None and (weights is not None or weights_file.is_file()):
        found = weights if weights is not None else without_prefix(read_safetensors(weights_file))
        try:
            return build(bert, found)
        except KeyError as error:
            raise ConfigurationError(f"{weights_file} has no weight {error}") from error
    if layers is not LayerPrecision.FLOAT32:
        raise ConfigurationError(
            f"encoder.layers={layers} needs a BERT model with its weights in model.safetensors, which {folder.path} is not: "
            "leave the setting at auto, or put a quantised onnx/model.onnx into the folder"
        )
    for shipped in (folder.transformer_path / _SHIPPED_GRAPH, folder.path / _SHIPPED_GRAPH):
        if plain and shipped.is_file():
            return _adopted(shipped, outputs, finish)
    return export_with_torch(folder.path, traced)


def _adopted(path: Path, outputs: Sequence[str], finish: _Finish) -> onnx.ModelProto:
    """The shipped graph with one output: `finish` appended to the first of these outputs that it has.

    Raises:
        ConfigurationError: the graph takes no attention mask, or has none of the outputs.
    """
    model = onnx.load(path)
    graph = model.graph
    named = [output.name for output in graph.output]
    found = next((name for name in outputs if name in named), None)
    if found is None or ATTENTION_MASK not in {each.name for each in graph.input}:
        raise ConfigurationError(
            f"{path} has no input {ATTENTION_MASK} or none of the outputs {', '.join(outputs)}. Export it again with optimum."
        )
    for node in graph.node:
        # Optimum's own pooled output would clash with ours.
        node.output[:] = [f"shipped.{each}" if each == EMBEDDING else each for each in node.output]
        node.input[:] = [f"shipped.{each}" if each == EMBEDDING else each for each in node.input]
    tail = GraphBuilder(prefix="ferroflux.")
    finished = finish(tail, found)
    graph.node.extend(tail.nodes)
    graph.node.append(helper.make_node("Identity", [finished], [EMBEDDING], name=f"{tail.prefix}{EMBEDDING}"))
    graph.initializer.extend(tail.initializers)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", None]))
    return model


def save_graph(graph: onnx.ModelProto, target: Path) -> None:
    """Write the graph and, in a file beside it, its weights: a session maps that file instead of copying it."""
    onnx.save(
        graph,
        target / GRAPH_FILE,
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location=WEIGHTS_FILE,
        size_threshold=_INLINE_BYTES,
    )


def quantisation(graph: onnx.ModelProto, layers: LayerPrecision = LayerPrecision.FLOAT32) -> str:
    """How the weights are kept: `none`, `embeddings-q4` (4-bit table, no loss to its source), or `graph` (as shipped).

    Layers that this code quantised are named behind: `embeddings-q4, layers-int8`.
    """
    operators = {node.op_type for node in graph.graph.node}
    if layers is not LayerPrecision.FLOAT32:
        return f"embeddings-q4, layers-{layers}" if "GatherBlockQuantized" in operators else f"layers-{layers}"
    if any("Integer" in each or "QuantizeLinear" in each or "NBits" in each for each in operators):
        return "graph"
    return "embeddings-q4" if "GatherBlockQuantized" in operators else "none"
