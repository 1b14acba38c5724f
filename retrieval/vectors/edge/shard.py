"""The files of an Edge index: the shard, and beside it the record of the model that wrote it.

    directory/owner.lock   who owns it now
    directory/model.json   the model revision, and the index's own id
    directory/shard/       Edge's own files

The shard is built under another name and moved into place when it is whole, and the record is written before that: a
process that dies in between leaves nothing that the next one would misread.
"""

from __future__ import annotations

import shutil
from functools import cache
from typing import Any

import orjson
import qdrant_edge as edge

from retrieval.encoders.port import ModelRevision
from retrieval.vectors import record
from retrieval.vectors.identity import IDENTITY_KEY, new_identity
from retrieval.vectors.model_record import RECORD_KEY, require_same_model, revision_record
from retrieval.vectors.port import SPARSE_VECTOR, TEXT_VECTOR
from retrieval.vectors.settings import Quantisation, VectorSettings
from runtime.files import atomic_write

BYTES_PER_NUMBER = 4
"""Vectors are float32."""


class ShardFiles:
    """Opens and creates the shard of one directory. Not thread-safe: the index calls it from its one thread."""

    def __init__(self, settings: VectorSettings) -> None:
        self._settings = settings
        self._shard = settings.directory / "shard"
        self._model = settings.directory / "model.json"

    def exists(self) -> bool:
        """Whether there is a shard to open."""
        return self._shard.is_dir()

    def open(self) -> edge.EdgeShard:
        """Open the shard; what its write-ahead log holds beyond the last flush is applied again."""
        recorded = self.recorded() or {}
        dimension = recorded.get("dimension")
        # With a configuration, Edge takes over today's thresholds and graph settings; what they change, `maintain` builds.
        return edge.EdgeShard.load(
            str(self._shard), None if dimension is None else self._config(dimension, sparse="sparse" in recorded)
        )

    def require_model(self, revision: ModelRevision) -> None:
        """Check the recorded model.

        Raises:
            ModelMismatchError: another encoder wrote the shard.
        """
        require_same_model(self.recorded(), revision, where=f"the vector index in {self._settings.directory}")

    @cache  # noqa: B019 - one of these lives as long as its process
    def spaces(self) -> frozenset[str]:
        """The names of the vector spaces; asked of a shard that is there, and they never change."""
        sparse = "sparse" in (self.recorded() or {})
        return frozenset({TEXT_VECTOR, SPARSE_VECTOR} if sparse else {TEXT_VECTOR})

    def create(self, revision: ModelRevision) -> edge.EdgeShard:
        """Record the model and create an empty shard with its payload indexes."""
        self._write({RECORD_KEY: revision_record(revision), IDENTITY_KEY: new_identity()})
        unfinished = self._shard.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shard = edge.EdgeShard.create(
            str(unfinished), self._config(revision.dimension, sparse=revision.sparse is not None)
        )
        for field, schema in _payload_indexes().items():
            shard.update(edge.UpdateOperation.create_field_index(field, schema))
        shard.flush()
        shard.close()
        unfinished.rename(self._shard)
        return self.open()

    def recorded(self) -> dict[str, Any] | None:
        """The revision's fields in the record; None where there is none."""
        return self._read().get(RECORD_KEY)

    def identity(self) -> str | None:
        """The index's own id; None where there is none."""
        return self._read().get(IDENTITY_KEY)

    def identify(self) -> str:
        """The index's own id, written down where an earlier release had made none."""
        held = self._read()
        if IDENTITY_KEY not in held:
            # One process owns the folder: no other can give it an id at the same moment.
            held[IDENTITY_KEY] = new_identity()
            self._write(held)
        return str(held[IDENTITY_KEY])

    def _read(self) -> dict[str, Any]:
        held: dict[str, Any] = orjson.loads(self._model.read_bytes()) if self._model.exists() else {}
        return held

    def _write(self, held: dict[str, Any]) -> None:
        atomic_write(self._model, orjson.dumps(held, option=orjson.OPT_INDENT_2))

    def _config(self, dimension: int, *, sparse: bool) -> edge.EdgeConfig:
        hnsw = self._settings.hnsw
        index_after_kb = self._settings.index_after_points * dimension * BYTES_PER_NUMBER // 1024
        scalar = edge.ScalarQuantizationConfig(edge.ScalarType.Int8)
        return edge.EdgeConfig(
            vectors={TEXT_VECTOR: edge.EdgeVectorParams(size=dimension, distance=edge.Distance.Cosine)},
            sparse_vectors={SPARSE_VECTOR: edge.EdgeSparseVectorParams()} if sparse else None,
            hnsw_config=edge.HnswIndexConfig(
                m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=10_000, payload_m=hnsw.payload_m
            ),
            quantization_config=scalar if self._settings.quantisation is Quantisation.SCALAR else None,
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=max(1, index_after_kb)),
            wal_enabled=True,
        )


def _payload_indexes() -> dict[str, edge.PayloadSchemaParams]:
    return {
        record.TENANT: edge.KeywordIndexParams(is_tenant=True),
        **{field: edge.KeywordIndexParams() for field in record.KEYWORD_FIELDS},
        **{field: edge.IntegerIndexParams(lookup=True, range=False) for field in record.INTEGER_FIELDS},
        **{field: edge.FloatIndexParams() for field in record.FLOAT_FIELDS},
    }
