"""A cache of prepared models that several processes may fill at once: a folder appears whole or not at all.

A prepared model is one folder with graph, weights, tokenizer and a manifest that vouches for them.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Final
from uuid import uuid4

from retrieval.encoders.models.light_vocabulary import LIGHT_TOKENIZER_FILE
from schemas.errors import ConfigurationError

_CONTENT_SUFFIXES: Final = frozenset(
    {".json", ".txt", ".model", ".bin", ".safetensors", ".onnx", ".onnx_data", ".data"}
)


def publish(entry: Path, build: Callable[[Path], None], is_intact: Callable[[Path], bool]) -> Path:
    """The folder `entry`, built if it is not there intact.

    `build` fills an empty folder beside it, which is then renamed; of two processes that build at once, the second finds
    the first one's folder and drops its own. A damaged entry is moved out of the way first.

    Raises:
        ConfigurationError: the cache directory cannot be written, or a file to build from cannot be read.
    """
    if is_intact(entry):
        return entry
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=entry.parent, ignore_cleanup_errors=True) as scratch:
            built = Path(scratch) / entry.name
            built.mkdir()
            build(built)
            if not is_intact(entry):
                _discard(entry)
                _move(built, entry, is_intact)
    except OSError as error:
        raise ConfigurationError(
            f"the model cache {entry.parent} cannot be filled: {error}. Make room or access there, or set encoder.cache_dir."
        ) from error
    return entry


def content_digest(files: Iterable[Path], *more: str) -> str:
    """Digest of the files' names and bytes and of more strings, 16 hex digits; 70 MB take a tenth of a second."""
    digest = blake2b(digest_size=8)
    for path in files:
        with path.open("rb") as stream:
            content = file_digest(stream, "sha256").hexdigest()
        digest.update(f"{path.name}\0{content}\n".encode())
    for text in more:
        digest.update(f"{text}\n".encode())
    return digest.hexdigest()


def content_files(folder: Path) -> list[Path]:
    """The files of a model folder that decide what it computes, in a stable order."""
    return sorted(each for each in folder.rglob("*") if each.is_file() and each.suffix in _CONTENT_SUFFIXES)


def _discard(entry: Path) -> None:
    if not entry.exists():
        return
    # Renaming is atomic where deleting a tree is not: another process never sees half of it.
    doomed = entry.with_name(f".damaged-{uuid4().hex}")
    entry.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def _move(built: Path, entry: Path, is_intact: Callable[[Path], bool]) -> None:
    try:
        built.rename(entry)
    except OSError:
        # A folder that is not empty cannot be replaced: another process was faster.
        if not is_intact(entry):
            raise


GRAPH_FILE: Final = "model.onnx"
WEIGHTS_FILE: Final = "model.onnx.data"
TOKENIZER_FILE: Final = "tokenizer.json"

_MANIFEST_FILE: Final = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a session must know beside the graph.

    `weights` is the digest of the files that the graph was made from, so it is the same on every machine;
    `files` maps each file of the folder to its size in bytes.
    """

    model: str
    weights: str
    pooling: str
    dimension: int
    quantisation: str
    query_prompt: str
    passage_prompt: str
    max_length: int
    lower_case: bool
    pad_id: int
    files: dict[str, int]
    token_types: bool = False
    """Whether the graph tells the two texts of a pair apart by their tokens' types."""


@dataclass(frozen=True, slots=True)
class PreparedModel:
    """A cache folder and its manifest."""

    path: Path
    manifest: Manifest

    @property
    def graph_file(self) -> Path:
        """The ONNX graph; its weights lie beside it and are memory-mapped by the session."""
        return self.path / GRAPH_FILE

    @property
    def tokenizer_file(self) -> Path:
        """The fast tokenizer's file."""
        return self.path / TOKENIZER_FILE

    @property
    def light_vocabulary(self) -> Path | None:
        """The folder of the light vocabulary's two files; None for a model that has none."""
        return self.path if LIGHT_TOKENIZER_FILE in self.manifest.files else None


def file_sizes(folder: Path) -> dict[str, int]:
    """Sizes of the folder's files, manifest apart, by name."""
    return {each.name: each.stat().st_size for each in sorted(folder.iterdir()) if each.name != _MANIFEST_FILE}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest; the last step of preparing a model."""
    (folder / _MANIFEST_FILE).write_text(json.dumps(asdict(manifest), indent=2) + "\n")


def read_prepared(folder: Path) -> PreparedModel | None:
    """The prepared model; None where the folder is missing, incomplete, or written by another version of this code."""
    try:
        manifest = Manifest(**json.loads((folder / _MANIFEST_FILE).read_bytes()))
        intact = all((folder / name).stat().st_size == size for name, size in manifest.files.items())
    except (OSError, ValueError, TypeError):
        return None
    return PreparedModel(folder, manifest) if intact else None
