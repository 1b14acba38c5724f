"""The text encoder, off the event loop: inference would otherwise hold up heartbeats and every payload-only change."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor

from retrieval.encoders.port import Matrix, TextEncoder


class OffLoopEncoder:
    """The port `PassageEncoder`: runs an encoder in an executor. onnxruntime lets go of the GIL while it computes."""

    def __init__(self, encoder: TextEncoder, executor: Executor) -> None:
        self._encoder = encoder
        self._executor = executor
        self.model = encoder.revision.id

    async def encode(self, texts: Sequence[str]) -> Matrix:
        """Vectors of catalogue texts, float32 [len(texts), dimension], in the order of the texts."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, self._encoder.encode_passages, list(texts)
        )
