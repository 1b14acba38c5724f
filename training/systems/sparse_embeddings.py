"""A sparse encoder that never computes a vector twice, as `CachedEncoder` for dense ones: segments on disk by digest of the text."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final
from uuid import uuid4

import numpy as np

from retrieval.encoders.port import ModelRevision, SparseEncoder, SparseVector
from runtime.files import atomic_writer

_SUFFIX: Final = ".npz"
_DIGEST_BYTES: Final = 16


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


def _digest(text: str, kind: bytes) -> bytes:
    return blake2b(kind + text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
