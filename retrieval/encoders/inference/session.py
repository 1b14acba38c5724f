"""The onnxruntime session: threads, providers, the call that turns token ids into vectors, and batches of like length for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from retrieval.encoders.port import Matrix
from schemas.errors import ConfigurationError

TokenIds = npt.NDArray[np.int64]

LIBRARY: Final = "onnxruntime-" + ".".join(ort.__version__.split(".")[:2])
"""Name, major and minor: kernels may change their rounding between minor versions."""

_EXACT_PRODUCTS: Final = "session.x64quantprecision"
"""x86 processors without VNNI add pairs of 8-bit products in 16 bits, which overflow. With this option onnxruntime takes another
kernel there for weights that could: the same integers as with VNNI, so that one collection serves processors of both kinds."""

_OUTPUT: Final = "sentence_embedding"
_WARNING: Final = 3


class OnnxSession:
    """One loaded graph. Several threads may call `run` at once; it releases the GIL while it computes."""

    def __init__(
        self, graph: Path, *, providers: Sequence[str], threads: int, inter_op_threads: int = 1, spin: bool = False
    ) -> None:
        """Load the graph.

        Raises:
            ConfigurationError: a provider is not in this build of onnxruntime, or the graph does not load.
        """
        missing = [each for each in providers if each not in ort.get_available_providers()]
        if missing:
            raise ConfigurationError(
                f"onnxruntime has no execution provider {', '.join(missing)} here; it has {', '.join(ort.get_available_providers())}"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = inter_op_threads
        options.log_severity_level = _WARNING
        options.add_session_config_entry(_EXACT_PRODUCTS, "1")
        options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "1" if spin else "0")
        try:
            self._session = ort.InferenceSession(graph, options, providers=list(providers))
        except Exception as error:  # onnxruntime's exceptions share no base below Exception
            raise ConfigurationError(f"onnxruntime cannot load {graph}: {error}") from error
        self._inputs = [each.name for each in self._session.get_inputs()]

    def run(self, token_ids: TokenIds, attention_mask: TokenIds, token_types: TokenIds | None = None) -> Matrix:
        """The graph's output, float32 [batch, dimension], of ids and mask int64 [batch, tokens].

        `token_types` tell the texts of pairs apart; a graph that reads them gets zeros where there are none.
        """
        available = {"input_ids": token_ids, "attention_mask": attention_mask}
        if "token_type_ids" in self._inputs:
            available["token_type_ids"] = np.zeros_like(token_ids) if token_types is None else token_types
        (vectors,) = self._session.run([_OUTPUT], {name: available[name] for name in self._inputs})
        return np.asarray(vectors, dtype=np.float32)


def output_dimension(graph: Path) -> int:
    """Length of the graph's vectors, found by computing one; a graph that does not load or run fails here."""
    session = OnnxSession(graph, providers=["CPUExecutionProvider"], threads=1)
    ids = np.full((1, 2), 3, np.int64)
    return int(session.run(ids, np.ones_like(ids)).shape[1])


def plan_batches(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of the texts by batch: texts of like length together, each batch's padded size within the budget.

    `lengths` are token counts. Longest first, so that the allocator sees its largest request at once. Batches are even:
    a remainder of a few texts would cost more for each than a whole batch does. A text longer than the budget is a batch
    alone. Every index occurs exactly once.
    """
    by_length = sorted(range(len(lengths)), key=lambda each: -lengths[each])
    capacities = [max(1, token_budget // max(1, lengths[index])) for index in by_length]
    batches: list[list[int]] = []
    start = 0
    while start < len(by_length):
        even = -(-(len(by_length) - start) // _needed(capacities, start))
        end = start + min(even, capacities[start])
        batches.append(by_length[start:end])
        start = end
    return batches


def _needed(capacities: Sequence[int], start: int) -> int:
    """How many batches the texts from `start` on take where each is as full as its longest text allows."""
    needed = 0
    while start < len(capacities):
        start += capacities[start]
        needed += 1
    return needed


def padded(token_ids: Sequence[Sequence[int]], pad_id: int) -> tuple[TokenIds, TokenIds]:
    """Ids and attention mask of a batch, int64 [texts, tokens of the longest]."""
    ids = np.full((len(token_ids), max(map(len, token_ids))), pad_id, np.int64)
    mask = np.zeros_like(ids)
    for row, own in enumerate(token_ids):
        ids[row, : len(own)] = own
        mask[row, : len(own)] = 1
    return ids, mask
