"""Which way a folder becomes a graph: built from its weights, adopted as it was exported, or traced with torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import onnx

from retrieval.encoders.export.adopt import adopt_graph
from retrieval.encoders.export.bert import build_bert, without_prefix
from retrieval.encoders.export.torch_export import export_with_torch
from retrieval.encoders.models.architecture import WEIGHTS_FILE as SAFETENSORS
from retrieval.encoders.models.architecture import BertConfig, poolable
from retrieval.encoders.models.folder import SentenceTransformerFolder
from retrieval.encoders.models.prepared import GRAPH_FILE, WEIGHTS_FILE
from retrieval.encoders.models.tensors import Weight, read_safetensors
from retrieval.encoders.settings import LayerPrecision
from schemas.errors import ConfigurationError

SHIPPED_GRAPH: Final = Path("onnx", "model.onnx")
"""Where a folder has the graph that its author exported."""
_INLINE_BYTES: Final = 1024


def build_graph(
    folder: SentenceTransformerFolder,
    weights: Mapping[str, Weight] | None,
    layers: LayerPrecision = LayerPrecision.FLOAT32,
) -> onnx.ModelProto:
    """The graph from token ids to unit vectors.

    A plain BERT or XLM-RoBERTa is built from its weights (given, or in the folder's `model.safetensors`): fused, and sure to be the
    weights' own. Otherwise a shipped `onnx/model.onnx` is taken and pooled. Everything else is traced with torch.

    Raises:
        ConfigurationError: the weights are incomplete, torch is needed and not installed, or another graph than one
            built from weights would have to be quantised.
    """
    can_pool = poolable(folder)
    bert = BertConfig.from_transformers(folder.config)
    weights_file = folder.transformer_path / SAFETENSORS
    if can_pool and bert is not None and (weights is not None or weights_file.is_file()):
        found = weights if weights is not None else without_prefix(read_safetensors(weights_file))
        try:
            return build_bert(bert, found, folder.pooling, layers)
        except KeyError as error:
            raise ConfigurationError(f"{weights_file} has no weight {error}") from error
    if layers is not LayerPrecision.FLOAT32:
        raise ConfigurationError(
            f"encoder.layers={layers} needs a BERT model with its weights in model.safetensors, which {folder.path} is not: "
            "leave the setting at auto, or put a quantised onnx/model.onnx into the folder"
        )
    for shipped in (folder.transformer_path / SHIPPED_GRAPH, folder.path / SHIPPED_GRAPH):
        if can_pool and shipped.is_file():
            return adopt_graph(shipped, folder.pooling)
    return export_with_torch(folder.path)


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
