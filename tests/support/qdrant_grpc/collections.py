"""The stand-in's collections: one Edge shard each, with its metadata in a file beside it."""

import shutil
from pathlib import Path
from typing import Any

import orjson
import qdrant_edge as edge


class Collection:
    """One collection, opened."""

    def __init__(self, directory: Path, description: dict[str, Any], shard: edge.EdgeShard) -> None:
        self.directory = directory
        self.description = description
        self.shard = shard
        self.operations = 0
        self.indexes: dict[str, int] = {}
        """Declared payload indexes and their types on the wire; declared anew after a restart, which harms nothing."""

    @classmethod
    def create(cls, directory: Path, description: dict[str, Any]) -> "Collection":
        directory.mkdir(parents=True)
        vectors = {
            name: edge.EdgeVectorParams(size=size, distance=edge.Distance.Cosine)
            for name, size in description["vectors"].items()
        }
        sparse = {name: edge.EdgeSparseVectorParams() for name in description.get("sparse", ())} or None
        config = edge.EdgeConfig(
            vectors=vectors, sparse_vectors=sparse, optimizers=edge.EdgeOptimizersConfig(indexing_threshold=10**6)
        )
        shard = edge.EdgeShard.create(str(directory / "shard"), config)
        (directory / "collection.json").write_bytes(orjson.dumps(description))
        return cls(directory, description, shard)

    @classmethod
    def load(cls, directory: Path) -> "Collection":
        description = orjson.loads((directory / "collection.json").read_bytes())
        return cls(directory, description, edge.EdgeShard.load(str(directory / "shard")))

    def apply(self, operation: edge.UpdateOperation) -> int:
        self.shard.update(operation)
        self.operations += 1
        return self.operations

    def add_metadata(self, more: dict[str, Any]) -> None:
        """As the server does: what is named is put over what is there."""
        self.description["metadata"] = {**self.description["metadata"], **more}
        (self.directory / "collection.json").write_bytes(orjson.dumps(self.description))

    def change(self, hnsw: dict[str, int], quantisation: str | None) -> None:
        """What is named of the settings; they are kept, and build nothing."""
        self.description["hnsw"] = {**self.description.get("hnsw", {"m": 16, "ef_construct": 100}), **hnsw}
        if quantisation is not None:
            self.description["quantisation"] = None if quantisation == "disabled" else quantisation
        (self.directory / "collection.json").write_bytes(orjson.dumps(self.description))

    def close(self) -> None:
        self.shard.flush()
        self.shard.close()


class Collections:
    """All collections under one directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._open = {path.parent.name: Collection.load(path.parent) for path in directory.glob("*/collection.json")}

    def __contains__(self, name: str) -> bool:
        return name in self._open

    def __getitem__(self, name: str) -> Collection:
        return self._open[name]

    def names(self) -> list[str]:
        return sorted(self._open)

    def create(self, name: str, description: dict[str, Any]) -> None:
        self._open[name] = Collection.create(self._directory / name, description)

    def delete(self, name: str) -> bool:
        collection = self._open.pop(name, None)
        if collection is None:
            return False
        collection.close()
        shutil.rmtree(collection.directory)
        return True

    def close(self) -> None:
        for collection in self._open.values():
            collection.close()
        self._open.clear()
