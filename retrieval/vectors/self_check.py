"""The check at a start that this encoder computes what the collection holds: a few stored texts, encoded again, rank as stored.

The revision says that model, prompts and arithmetic are the same by name. This says that the numbers are: another processor,
another build of the inference library or a damaged cache would be found here, before a query is answered or a product written.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
import structlog

from retrieval.encoders.port import Matrix, TextEncoder
from retrieval.passages import passage_text, text_hash
from retrieval.vectors.port import PointPayload, VectorIndex
from retrieval.vectors.spaces import TEXT_VECTOR, spaces_of
from schemas.errors import ModelMismatchError
from schemas.identity import SkuKey
from schemas.product.building import build_document
from schemas.product.merge import ItemState

log = structlog.get_logger(__name__)

SAMPLE: Final = 16
"""Texts that are encoded again: a seventh of a second with 8-bit layers on one processor."""
_LOOKED_AT: Final = 256
"""Points that are looked at for the sample; the others may be tombstones, or of another template of texts."""


_ATTEMPTS: Final = 3
"""Others may write to the collection meanwhile, and not every store shows a point's vector and payload change at one moment."""
_AGAIN_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a vector that was computed again may lie from the stored one."""

    cosine: float
    """Least cosine of a text's two vectors."""
    order: float
    """Similarities that differ by more than this must stand in the stored order."""


EXACT: Final = Bounds(cosine=0.999, order=0.005)
"""For float32 layers, which differ between processors by the rounding of sums, 1e-6, and with a reduced-precision provider by 1e-4."""
QUANTISED: Final = Bounds(cosine=0.99, order=0.02)
"""For quantised ones: a rounding that differs by 1e-7 moves an activation to the next of 256 steps, and 12 layers pass that on. Seen:
cosine 0.998 after a change of 3e-7, 0.995 between kernels that overflow and those that do not; another prompt gives 0.945."""

_UNQUANTISED: Final = frozenset({"none", "embeddings-q4"})


async def open_collection(index: VectorIndex, encoder: TextEncoder, *, where: str = "the collection") -> None:
    """Prepare the collection for the encoder, then check that it computes the vectors that are there.

    Raises:
        ModelMismatchError: the collection was written by another encoder, by name or by its numbers.
        StoreUnavailableError: the store did not answer.
    """
    await index.prepare(spaces_of(encoder.revision))
    await require_same_vectors(index, encoder, where=where)


async def require_same_vectors(index: VectorIndex, encoder: TextEncoder, *, where: str) -> None:
    """Encode a few stored texts again and compare; a collection without texts of this encoder passes.

    Raises:
        ModelMismatchError: they do not rank as stored.
        StoreUnavailableError: the store did not answer.
    """
    bounds = EXACT if encoder.revision.quantisation in _UNQUANTISED else QUANTISED
    for attempt in range(1, _ATTEMPTS + 1):
        began = perf_counter()
        texts, stored = await _held(index, spaces_of(encoder.revision)[TEXT_VECTOR].revision)
        if not texts:
            return
        again = await asyncio.to_thread(encoder.encode_passages, texts)
        cosine, displaced = agreement(stored, again)
        log.info(
            "stored texts encoded again",
            texts=len(texts),
            least_cosine=round(cosine, 5),
            largest_displacement=round(displaced, 5),
            seconds=round(perf_counter() - began, 3),
        )
        if cosine >= bounds.cosine and displaced <= bounds.order:
            return
        if attempt < _ATTEMPTS:
            await asyncio.sleep(_AGAIN_S)
    raise ModelMismatchError(
        f"{len(texts)} texts of {where} were encoded again with the recorded model {encoder.revision.model} and do not rank as "
        f"stored (cosine {cosine:.4f}, at least {bounds.cosine} is asked; order wrong by {displaced:.4f}, at most {bounds.order}): "
        "delete the model's folder in encoder.cache_dir, so that it is prepared again. If that does not help, this machine "
        "computes other vectors: use the version and processor that wrote the collection, or build a generation here"
    )


def agreement(stored: Matrix, again: Matrix) -> tuple[float, float]:
    """Least cosine of a text's stored and new unit vector, and by how much two neighbours of a text stand in the wrong order.

    For each new vector, all stored ones are ranked by their similarity to it, as a search would; the second figure is the largest
    difference that two of them had by the stored vector and have the other way round now.
    """
    similar, now = stored @ stored.T, again @ stored.T
    displaced = 0.0
    for before, after in zip(similar, now, strict=True):
        gaps = before[:, None] - before[None, :]
        turned = after[:, None] - after[None, :] < 0
        displaced = max(displaced, float(np.max(gaps, where=turned, initial=0.0)))
    return float(np.diag(now).min()), displaced


async def _held(index: VectorIndex, revision: str) -> tuple[list[str], Matrix]:
    """Stored texts, and the vectors that were made of them: of products that nobody changed while both were read."""
    sample = await _sample(index, revision)
    stored = await index.vectors(list(sample), using=TEXT_VECTOR)
    after = await index.read(list(sample))
    keys = [key for key, (rev, _) in sample.items() if key in stored and key in after and after[key].rev == rev]
    if not keys:
        return [], np.empty((0, 0), dtype=np.float32)
    return [sample[key][1] for key in keys], np.stack([np.asarray(stored[key]) for key in keys])


async def _sample(index: VectorIndex, revision: str) -> dict[SkuKey, tuple[int, str]]:
    """Living products whose vector is of this encoder: their revision, and their text as it was embedded."""
    texts: dict[SkuKey, tuple[int, str]] = {}
    looked_at = 0
    async for page in index.scan(page=_LOOKED_AT // 4):
        for key, payload in page.items():
            text = (
                _text_of(key, payload)
                if payload.provenance_of(TEXT_VECTOR).revision == revision and payload.alive
                else None
            )
            if text is not None:
                texts[key] = (payload.rev, text)
            if len(texts) == SAMPLE:
                return texts
        looked_at += len(page)
        if looked_at >= _LOOKED_AT:
            break
    return texts


def _text_of(key: SkuKey, payload: PointPayload) -> str | None:
    """The text that the point's vector was made of; None where its state gives another one today, or cannot be read."""
    try:
        text = passage_text(build_document(key, ItemState.from_bytes(payload.state), payload.rev))
    except Exception:
        # Only a sample is taken: one state that cannot be read is the pipeline's to report.
        log.warning("a stored state cannot be read", tenant=key.tenant, sku=key.sku, exc_info=True)
        return None
    return text if text_hash(text) == payload.provenance_of(TEXT_VECTOR).hash else None
