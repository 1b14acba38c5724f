"""The text encoders, off the event loop: inference would otherwise hold up heartbeats and every payload-only change."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from concurrent.futures import Executor

from retrieval.encoders.port import TextEncoder
from retrieval.vectors.port import SPARSE_VECTOR, TEXT_VECTOR, NamedVectors


class OffLoopEncoder:
    """The port `PassageEncoder`: runs an encoder, and the sparse one beside it, in an executor.

    onnxruntime lets go of the GIL while it computes.
    """

    def __init__(self, encoder: TextEncoder, executor: Executor) -> None:
        self._encoder = encoder
        self._executor = executor
        self.model = encoder.revision.id

    async def encode(self, texts: Sequence[str]) -> Sequence[NamedVectors]:
        """The vectors of each catalogue text by the name of their space, in the order of the texts."""
        context = contextvars.copy_context()  # with the urgency of the changes
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, context.run, encoded, self._encoder, list(texts)
        )

    async def lengths(self, texts: Sequence[str]) -> Sequence[int]:
        """Tokens of each catalogue text, in the order of the texts."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._encoder.passage_lengths, list(texts)
        )


def encoded(encoder: TextEncoder, texts: Sequence[str]) -> list[NamedVectors]:
    """The vectors of catalogue texts in every space that the encoder writes; blocking."""
    dense = encoder.encode_passages(texts)
    if encoder.sparse is None:
        return [{TEXT_VECTOR: row} for row in dense]
    words = encoder.sparse.encode_passages(texts)
    return [{TEXT_VECTOR: row, SPARSE_VECTOR: one} for row, one in zip(dense, words, strict=True)]
