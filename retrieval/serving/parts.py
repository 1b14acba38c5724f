"""What a generation is searched with, and how each part is come by: opened as the settings say, or held open by a launcher."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from retrieval.encoders.factory import load_encoder
from retrieval.encoders.models.architecture import settle_layers
from retrieval.encoders.port import TextEncoder
from retrieval.encoders.settings import EncoderSettings, LayerChoice
from retrieval.generations.fitting import encoder_settings, require_revision, require_text_fit, text_folder
from retrieval.rerank.onnx import load_reranker
from retrieval.rerank.port import Reranker, RerankSettings
from retrieval.search.settings import SearchSettings
from retrieval.text.factory import open_reader
from retrieval.text.port import TextIndexReader
from retrieval.text.settings import TextIndexSettings
from retrieval.vectors.factory import open_vector_index
from retrieval.vectors.port import VectorIndex
from retrieval.vectors.self_check import open_collection
from retrieval.vectors.settings import VectorSettings
from schemas.records.generations import Generation

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """What a process that searches is told: the stores of `main`, how it searches, and how often it looks, in seconds."""

    vectors: VectorSettings
    encoder: EncoderSettings
    text: TextIndexSettings
    search: SearchSettings
    refresh_s: float
    heartbeat_s: float = 5.0
    """Age of the tailer's heartbeat from which it counts as stale."""
    freshness_window_s: float = 300.0
    tailed: bool = True
    """Whether a tailer reports in the text folder, where the files of generations and aliases then lie, too."""


@dataclass(frozen=True, slots=True)
class HeldParts:
    """The parts of a generation that a launcher holds open and closes itself; None: opened as the settings say.

    `folder` is where the tailer of its replica reports.
    """

    vectors: VectorIndex | None = None
    encoder: TextEncoder | None = None
    reader: TextIndexReader | None = None
    folder: Path | None = None


@dataclass
class SharedModels:
    """The models of one process. Thread-safe; loading blocks.

    Generations with the same encoder share it, and it goes with the last of them; the reranker reads texts and serves every one.
    """

    rerank: RerankSettings
    loaded: Reranker | None = None
    """The reranker, where it is loaded already."""
    _encoders: WeakValueDictionary[EncoderSettings, TextEncoder] = field(default_factory=WeakValueDictionary)
    _loading: threading.Lock = field(default_factory=threading.Lock)

    def encoder(self, settings: EncoderSettings, recorded: Mapping[str, Any] | None) -> TextEncoder:
        """The encoder; its open layers are those that the collection records."""
        chosen = settle_layers(settings, recorded)
        with self._loading:
            held = self._encoders.get(chosen)
            if held is None:
                held = self._encoders[chosen] = load_encoder(chosen)
            return held

    def reranker(self) -> Reranker | None:
        """The reranker; None where the settings name none."""
        with self._loading:
            if self.loaded is None:
                self.loaded = load_reranker(self.rerank)
            return self.loaded


class GenerationParts:
    """Opens the parts of one generation, each by itself; what failed may be asked for again. Blocking work runs on `blocking`."""

    def __init__(
        self,
        manifest: Generation,
        settings: ServingSettings,
        models: SharedModels,
        blocking: Executor,
        held: HeldParts | None = None,
    ) -> None:
        self._manifest = manifest
        self._settings = settings
        self._models = models
        self._blocking = blocking
        self._held = held or HeldParts()
        self._vectors = self._held.vectors
        self._reader = self._held.reader
        folder = self._held.folder or text_folder(settings.text.directory, manifest)
        self._text = settings.text.model_copy(update={"directory": folder})
        self.report_folder = folder if settings.tailed else None
        """Where the tailer's report lies; None where there is no tailer."""

    async def encoder(self) -> TextEncoder:
        """The encoder that the generation was built with.

        Raises:
            GenerationUnfitError: this version or this process cannot serve the generation.
            FerrofluxError: it cannot be loaded, or the collection that names its layers does not answer.
        """
        require_text_fit(self._manifest)
        encoder = self._held.encoder
        if encoder is None:
            chosen = encoder_settings(self._settings.encoder, self._manifest)
            recorded = await (await self._store()).recorded() if chosen.layers is LayerChoice.AUTO else None
            encoder = await self.off_loop(lambda: self._models.encoder(chosen, recorded))
        require_revision(self._manifest, encoder.revision)
        return encoder

    async def reranker(self) -> Reranker | None:
        """The process's reranker; None where it has none."""
        return await self.off_loop(self._models.reranker)

    async def vectors(self, encoder: TextEncoder) -> VectorIndex:
        """The collection, checked against the encoder."""
        vectors = await self._store()
        await open_collection(vectors, encoder)
        return vectors

    async def reader(self) -> TextIndexReader:
        """The text replica; not necessarily whole."""
        if self._reader is None:
            self._reader = await self.off_loop(lambda: open_reader(self._text))
        return self._reader

    async def close(self) -> None:
        """Close what was opened here."""
        vectors, self._vectors = self._vectors, None
        if vectors is not None and vectors is not self._held.vectors:
            await vectors.close()

    async def _store(self) -> VectorIndex:
        if self._vectors is None:
            settings = self._settings.vectors.model_copy(update={"collection": self._manifest.collection})
            self._vectors = await open_vector_index(settings)
        return self._vectors

    async def off_loop(self, work: Callable[[], T]) -> T:
        """Run blocking work on the process's threads for it."""
        return await asyncio.get_running_loop().run_in_executor(self._blocking, work)
