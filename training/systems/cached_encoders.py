"""Encoders, dense and sparse, that never compute a vector twice: what they computed lies on disk by digest of the text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np

from retrieval.encoders.port import Matrix, ModelRevision, SparseEncoder, SparseVector, TextEncoder
from retrieval.vectors.port import Vector
from runtime.files import atomic_writer

_KEYS_SUFFIX: Final = ".keys.npy"
_VECTORS_SUFFIX: Final = ".vectors.npy"
_DIGEST_BYTES: Final = 16
_FLUSH_AT: Final = 4096


class CachedEncoder:
    """The port `TextEncoder` over another one, remembering on disk. Thread-safe; `flush` before the process ends."""

    def __init__(self, encoder: TextEncoder, folder: Path) -> None:
        self._encoder = encoder
        # The sparse encoder has no part in the dense vectors, and a cache of its own.
        self._folder = folder / replace(encoder.revision, sparse=None).id
        self.sparse = None if encoder.sparse is None else CachedSparseEncoder(encoder.sparse, folder)
        self._lock = threading.Lock()
        self._known: dict[bytes, Vector] = {}
        self._unsaved: list[bytes] = []
        self.computed = 0
        """Vectors that this object had to compute."""
        for keys_file in sorted(self._folder.glob(f"*{_KEYS_SUFFIX}")):
            self._load(keys_file)

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        return self._encoder.revision

    @property
    def uncached(self) -> TextEncoder:
        """The encoder itself, for measuring time."""
        return self._encoder

    def encode_queries(self, texts: Sequence[str]) -> Matrix:
        """Vectors of search queries, float32 [len(texts), dimension], L2-normalised."""
        return self._vectors(texts, b"q")

    def encode_passages(self, texts: Sequence[str]) -> Matrix:
        """Vectors of catalogue texts, float32 [len(texts), dimension], L2-normalised."""
        return self._vectors(texts, b"p")

    def passage_lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each catalogue text."""
        return self._encoder.passage_lengths(texts)

    def flush(self) -> None:
        """Write what was computed since the last flush."""
        if self.sparse is not None:
            self.sparse.flush()
        with self._lock:
            self._flush()

    def _vectors(self, texts: Sequence[str], kind: bytes) -> Matrix:
        digests = [_digest(text, kind) for text in texts]
        with self._lock:
            missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        if missing:
            encode = self._encoder.encode_queries if kind == b"q" else self._encoder.encode_passages
            computed = encode(list(missing.values()))
            with self._lock:
                self._known.update(zip(missing, computed, strict=True))
                self._unsaved.extend(missing)
                self.computed += len(missing)
                if len(self._unsaved) >= _FLUSH_AT:
                    self._flush()
        if not digests:
            return np.empty((0, self.revision.dimension), np.float32)
        return np.stack([self._known[digest] for digest in digests])

    def _flush(self) -> None:
        digests = list(dict.fromkeys(self._unsaved))
        if not digests:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        name = uuid4().hex
        vectors = np.stack([self._known[digest] for digest in digests])
        keys = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES)
        np.save(self._folder / f"{name}{_VECTORS_SUFFIX}", vectors)
        # The keys come last and by renaming: a segment is there whole or not at all.
        with atomic_writer(self._folder / f"{name}{_KEYS_SUFFIX}", durable=False) as file:
            np.save(file, keys)
        self._unsaved.clear()

    def _load(self, keys_file: Path) -> None:
        vectors_file = keys_file.with_name(keys_file.name.removesuffix(_KEYS_SUFFIX) + _VECTORS_SUFFIX)
        vectors = np.load(vectors_file, mmap_mode="r")
        for key, vector in zip(np.load(keys_file), vectors, strict=True):
            self._known[key.tobytes()] = vector


def _digest(text: str, kind: bytes) -> bytes:
    return blake2b(kind + text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()


_SUFFIX: Final = ".npz"


class CachedSparseEncoder:
    """The port `SparseEncoder` over another one, remembering on disk. Thread-safe; `flush` before the process ends."""

    def __init__(self, encoder: SparseEncoder, folder: Path) -> None:
        self._encoder = encoder
        self._folder = folder / encoder.revision.id
        self._lock = threading.Lock()
        self._known: dict[bytes, SparseVector] = {}
        self._unsaved: list[bytes] = []
        self.computed = 0
        """Vectors that this object had to compute."""
        for segment in sorted(self._folder.glob(f"*{_SUFFIX}")):
            self._load(segment)

    @property
    def revision(self) -> ModelRevision:
        """Which space the vectors live in."""
        return self._encoder.revision

    def encode_queries(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of search queries."""
        return self._vectors(texts, b"q")

    def encode_passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Weights of catalogue texts."""
        return self._vectors(texts, b"p")

    def flush(self) -> None:
        """Write what was computed since the last flush."""
        with self._lock:
            digests, self._unsaved = list(dict.fromkeys(self._unsaved)), []
            vectors = [self._known[digest] for digest in digests]
        if not digests:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with atomic_writer(self._folder / f"{uuid4().hex}{_SUFFIX}", durable=False) as file:
            np.savez(
                file,
                keys=np.frombuffer(b"".join(digests), np.uint8).reshape(-1, _DIGEST_BYTES),
                lengths=np.array([len(vector) for vector in vectors], np.int64),
                indices=np.concatenate([vector.indices for vector in vectors]),
                values=np.concatenate([vector.values for vector in vectors]),
            )

    def _vectors(self, texts: Sequence[str], kind: bytes) -> list[SparseVector]:
        digests = [_digest(text, kind) for text in texts]
        with self._lock:
            missing = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        if missing:
            encode = self._encoder.encode_queries if kind == b"q" else self._encoder.encode_passages
            computed = encode(list(missing.values()))
            with self._lock:
                self._known.update(zip(missing, computed, strict=True))
                self._unsaved.extend(missing)
                self.computed += len(missing)
        return [self._known[digest] for digest in digests]

    def _load(self, segment: Path) -> None:
        with np.load(segment) as saved:
            ends = np.cumsum(saved["lengths"])[:-1]
            indices, values = np.split(saved["indices"], ends), np.split(saved["values"], ends)
            for key, places, weights in zip(saved["keys"], indices, values, strict=True):
                self._known[key.tobytes()] = SparseVector(places, weights)
