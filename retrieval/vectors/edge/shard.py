"""The files of an Edge index: the lock, the shard, and beside it the record of the model that wrote it.

    directory/owner.lock   who owns it now
    directory/model.json   the record of the vector spaces, and the index's own id
    directory/shard/       Edge's own files

The shard is built under another name and moved into place when it is whole, and the record is written before that: a
process that dies in between leaves nothing that the next one would misread. One process owns a directory, and says so in a
lock that dies with it; Edge refuses a second owner, too, but with an error about its write-ahead log that helps nobody.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import orjson
import qdrant_edge as edge

from retrieval.vectors import record
from retrieval.vectors.record import IDENTITY_KEY, new_identity
from retrieval.vectors.settings import Quantisation, VectorSettings
from retrieval.vectors.spaces import RECORD_KEY, TEXT_VECTOR, SpaceKind, Spaces, require_same_spaces
from runtime.files import atomic_write
from schemas.errors import ConfigurationError, IndexInUseError

LOCK_FILE: Final = "owner.lock"


class DirectoryOwner:
    """Holds the lock of one directory from construction to `release`, at the latest until the process ends."""

    def __init__(self, directory: Path) -> None:
        """Create the directory where it is absent and take it.

        Raises:
            IndexInUseError: another owner holds it, in this or another process.
        """
        directory.mkdir(parents=True, exist_ok=True)
        self._file = (directory / LOCK_FILE).open("a+", encoding="ascii")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.seek(0)
            owner = self._file.read().strip() or "unknown"
            self._file.close()
            raise IndexInUseError(
                f"the vector index in {directory} is in use by process {owner}; stop it first, or choose another directory"
            ) from error
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    def release(self) -> None:
        """Let the next owner in; the file stays, since removing it would race with one who has just opened it."""
        self._file.close()


BYTES_PER_NUMBER = 4
"""Vectors are float32."""
_EDGE_CONFIG = "edge_config.json"
"""In the shard: what Edge was opened with last."""


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
        # With a configuration, Edge takes over today's thresholds and graph settings; what they change, `maintain` builds.
        return edge.EdgeShard.load(str(self._shard), self._config(self.spaces) if self.spaces else None)

    def require_spaces(self, spaces: Spaces) -> None:
        """Check the recorded spaces.

        Raises:
            ModelMismatchError: other encoders wrote the shard.
        """
        require_same_spaces(self.recorded(), spaces, where=f"the vector index in {self._settings.directory}")

    def require_settings(self) -> None:
        """Check that the shard is as the settings have it; what Edge can change of it, it does when it is opened.

        Raises:
            ConfigurationError: it is quantised, and is not to be.
        """
        opened_with = orjson.loads((self._shard / _EDGE_CONFIG).read_bytes())
        if self._settings.quantisation is Quantisation.NONE and opened_with.get("quantization_config"):
            raise ConfigurationError(
                f"the vector index in {self._settings.directory} is quantised, which Edge cannot take back: set "
                "FERROFLUX_VECTORS__QUANTISATION=scalar, or build a generation without (`ferroflux generation build NAME "
                "--set vectors.quantisation=none`), which reuses its vectors"
            )

    @cached_property
    def spaces(self) -> Spaces:
        """Those of the record; asked of a shard that is there, and they never change."""
        return Spaces.recorded(self.recorded())

    def create(self, spaces: Spaces) -> edge.EdgeShard:
        """Record the spaces and create an empty shard with its payload indexes."""
        self._write({RECORD_KEY: spaces.record(), IDENTITY_KEY: new_identity()})
        unfinished = self._shard.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        shard = edge.EdgeShard.create(str(unfinished), self._config(spaces))
        for field, schema in _payload_indexes().items():
            shard.update(edge.UpdateOperation.create_field_index(field, schema))
        shard.flush()
        shard.close()
        unfinished.rename(self._shard)
        return self.open()

    def recorded(self) -> dict[str, Any] | None:
        """The record of the spaces; None where there is none."""
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

    def _config(self, spaces: Spaces) -> edge.EdgeConfig:
        hnsw = self._settings.hnsw
        index_after_kb = self._settings.index_after_points * spaces[TEXT_VECTOR].dimension * BYTES_PER_NUMBER // 1024
        sparse = {name for name, space in spaces.items() if space.kind is SpaceKind.SPARSE}
        return edge.EdgeConfig(
            vectors={
                name: edge.EdgeVectorParams(
                    size=space.dimension,
                    distance=getattr(edge.Distance, space.distance),
                    quantization_config=_quantisation(space.quantisation),
                )
                for name, space in spaces.items()
                if name not in sparse
            },
            sparse_vectors={name: edge.EdgeSparseVectorParams() for name in sparse} or None,
            hnsw_config=edge.HnswIndexConfig(
                m=hnsw.m, ef_construct=hnsw.ef_construct, full_scan_threshold=10_000, payload_m=hnsw.payload_m
            ),
            quantization_config=_quantisation(self._settings.quantisation),
            optimizers=edge.EdgeOptimizersConfig(indexing_threshold=max(1, index_after_kb)),
            wal_enabled=True,
        )


def _quantisation(chosen: Quantisation | None) -> edge.ScalarQuantizationConfig | None:
    return edge.ScalarQuantizationConfig(edge.ScalarType.Int8) if chosen is Quantisation.SCALAR else None


def _payload_indexes() -> dict[str, edge.PayloadSchemaParams]:
    return {
        record.TENANT: edge.KeywordIndexParams(is_tenant=True),
        **{field: edge.KeywordIndexParams() for field in record.KEYWORD_FIELDS},
        **{field: edge.IntegerIndexParams(lookup=True, range=False) for field in record.INTEGER_FIELDS},
        **{field: edge.FloatIndexParams() for field in record.FLOAT_FIELDS},
    }
