"""Vectors of another generation, taken over where they are the very same: same text, same model, no inference."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np

from indexer.batch.planned import PlannedWork
from indexer.ports import PassageEncoder
from retrieval.passages import text_hash
from retrieval.vectors.port import TEXT_VECTOR, NamedVectors, PointPayload, Vector
from schemas.identity import SkuKey


class StoredPoints(Protocol):
    """Where states and vectors are taken over from: a collection (`VectorIndex`), or a view of one."""

    async def read(self, keys: Sequence[SkuKey], /) -> Mapping[SkuKey, PointPayload]:
        """Payloads of the products that it holds."""
        ...

    async def vectors(self, keys: Collection[SkuKey], /, *, using: str) -> Mapping[SkuKey, Vector]:
        """Vectors of the products that have one of that name."""
        ...


class VectorDonor(Protocol):
    """Gives vectors that exist already."""

    async def vectors(self, texts: Sequence[tuple[SkuKey, str]]) -> list[Vector | None]:
        """For each product and text its vector, None where there is none to be had; in the order of the texts."""
        ...


class CollectionDonor:
    """The port `VectorDonor` on another collection. A vector is given where its text's digest and its model agree.

    It gives dense vectors; a generation with a sparse encoder beside is built without a donor.
    """

    def __init__(self, source: StoredPoints, model: str) -> None:
        self._source = source
        self._model = model
        self.given = 0

    async def vectors(self, texts: Sequence[tuple[SkuKey, str]]) -> list[Vector | None]:
        """Look at the provenance first, and fetch only vectors that will be used."""
        stored = await self._source.read([key for key, _ in texts])
        wanted = [key for key, text in texts if agrees(stored.get(key), text, self._model)]
        held = await self._source.vectors(wanted, using=TEXT_VECTOR) if wanted else {}
        given = [held.get(key) for key, _ in texts]
        self.given += sum(vector is not None for vector in given)
        return given


def agrees(stored: PointPayload | None, text: str, model: str) -> bool:
    """Whether a stored point's vector is the one that this model gives this text."""
    return stored is not None and stored.text_model == model and stored.text_hash == text_hash(text)


async def vectors_for(
    texts: Sequence[tuple[SkuKey, str]], encoder: PassageEncoder, donor: VectorDonor | None
) -> list[NamedVectors]:
    """The vectors of each text by the name of their space: taken over where the donor has them, else computed."""
    given: list[Vector | None] = [None] * len(texts) if donor is None else await donor.vectors(texts)
    missing = [text for (_, text), vector in zip(texts, given, strict=True) if vector is None]
    computed = iter(await encoder.encode(missing) if missing else ())
    return [next(computed) if vector is None else {TEXT_VECTOR: vector} for vector in given]


async def with_vectors(
    works: Sequence[PlannedWork], *, encoder: PassageEncoder, donor: VectorDonor | None
) -> list[PlannedWork]:
    """The works with the vectors of their texts; each has a text.

    Raises:
        ValueError: a vector holds what is no number; stored, it would be near to nothing and to everything.
    """
    vectors = await vectors_for([(work.key, work.text or "") for work in works], encoder, donor)
    for work, named in zip(works, vectors, strict=True):
        dense = named.get(TEXT_VECTOR)
        if isinstance(dense, np.ndarray) and not np.isfinite(dense).all():
            raise ValueError(f"the encoder gave {work.key} a vector with infinite or undefined members")
    return [work.with_vectors(each) for work, each in zip(works, vectors, strict=True)]
