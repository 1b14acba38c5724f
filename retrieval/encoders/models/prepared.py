"""A model ready to serve: one cache folder with graph, weights, tokenizer and a manifest that vouches for them."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from retrieval.encoders.models.light_vocabulary import LIGHT_TOKENIZER_FILE

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
