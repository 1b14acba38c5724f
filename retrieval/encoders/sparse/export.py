"""Preparing a sparse encoder: from its folder to one graph from token ids to word weights, once per content.

As for dense encoders, a plain BERT or XLM-RoBERTa is built from its weights, otherwise a shipped `onnx/model.onnx` is taken,
and everything else is traced with torch, once, on any machine that has the training extra.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog

from retrieval.encoders.export.exporter import prepared_once
from retrieval.encoders.models.architecture import BertConfig
from retrieval.encoders.models.cache import content_digest, content_files
from retrieval.encoders.models.prepared import (
    GRAPH_FILE,
    TOKENIZER_FILE,
    Manifest,
    PreparedModel,
    file_sizes,
    write_manifest,
)
from retrieval.encoders.models.sources import find_folder
from retrieval.encoders.models.tensors import read_safetensors
from retrieval.encoders.runtime.session import output_dimension
from retrieval.encoders.settings import EncoderSettings
from retrieval.encoders.sparse.folder import SAVED_BY, SparseEncoderFolder, read_sparse_encoder
from schemas.errors import ConfigurationError

if TYPE_CHECKING:  # the onnx package serves the export alone
    import onnx

log = structlog.get_logger(__name__)

_FORMAT: Final = "ferroflux-sparse-1"
"""Part of every entry's digest: raise it when the graph that this code builds changes its numbers."""


def prepare_sparse(settings: EncoderSettings) -> PreparedModel:
    """The sparse model in the cache, exported now if it is not there; otherwise only its files are hashed.

    Raises:
        ModelNotFoundError: no such folder.
        ConfigurationError: the model is no sparse encoder or cannot be exported, or the cache cannot be written.
    """
    source = find_folder(settings.sparse.model, settings.cache_dir, setting="encoder.sparse.model", saved_by=SAVED_BY)
    digest = content_digest(content_files(source.path), _FORMAT)

    def build(target: Path) -> None:
        started = perf_counter()
        _export(read_sparse_encoder(source.path), source.name, digest, target)
        log.info("sparse model prepared", model=source.name, weights=digest, seconds=round(perf_counter() - started, 2))

    return prepared_once(settings.cache_dir / f"{source.name}-{digest}", build)


def _export(folder: SparseEncoderFolder, name: str, digest: str, target: Path) -> None:
    # A worker that finds its model prepared never loads the onnx package.
    from retrieval.encoders.export.routes import quantisation, save_graph  # noqa: PLC0415

    graph = _build_graph(folder)
    save_graph(graph, target)
    shutil.copyfile(folder.tokenizer_file, target / TOKENIZER_FILE)
    manifest = Manifest(
        model=name,
        weights=digest,
        pooling=f"splade-{folder.pooling}-{folder.activation}",
        dimension=output_dimension(target / GRAPH_FILE),
        quantisation=quantisation(graph),
        query_prompt=folder.query_prompt,
        passage_prompt=folder.passage_prompt,
        max_length=folder.max_length,
        lower_case=folder.lower_case,
        pad_id=int(folder.config.get("pad_token_id") or 0),
        files=file_sizes(target),
    )
    write_manifest(target, manifest)


def _build_graph(folder: SparseEncoderFolder) -> onnx.ModelProto:
    from retrieval.encoders.export.adopt import adopt_output  # noqa: PLC0415 - see `_export`
    from retrieval.encoders.export.bert import without_prefix  # noqa: PLC0415
    from retrieval.encoders.export.graph import GraphBuilder  # noqa: PLC0415
    from retrieval.encoders.export.heads import build_splade, pool_words  # noqa: PLC0415
    from retrieval.encoders.export.routes import SHIPPED_GRAPH  # noqa: PLC0415
    from retrieval.encoders.export.torch_export import Traced, export_with_torch  # noqa: PLC0415

    def pool(graph: GraphBuilder, logits: str) -> str:
        return pool_words(graph, logits, folder.pooling, folder.activation)

    bert = BertConfig.from_transformers(folder.config)
    weights_file = folder.path / "model.safetensors"
    if folder.plain and bert is not None and weights_file.is_file():
        try:
            return build_splade(bert, without_prefix(read_safetensors(weights_file)), pool)
        except KeyError as error:
            raise ConfigurationError(f"{weights_file} has no weight {error}") from error
    if folder.plain and (folder.path / SHIPPED_GRAPH).is_file():
        return adopt_output(folder.path / SHIPPED_GRAPH, ("logits", "token_embeddings"), pool)
    traced = Traced(
        "SparseEncoder",
        lambda _torch, features: features["sentence_embedding"],
        "plain BERT or XLM-RoBERTa masked language model with SpladePooling",
    )
    return export_with_torch(folder.path, traced)
