"""What an index on disk was written by, and the refusal to open one that this process would read or extend wrongly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import tantivy

from retrieval.analysis.pipeline import ANALYSER_VERSION
from retrieval.text.tantivy_index.schema import SCHEMA_VERSION
from runtime.files import atomic_write
from schemas.errors import IncompatibleIndexError

METADATA_FILE: Final = "ferroflux-index.json"

_LIBRARY: Final = str(vars(tantivy)["__version__"])  # of the compiled module, which the stubs leave out
_REMEDY: Final = "Delete the folder: the replica rebuilds it from the log."


def current_metadata() -> dict[str, str]:
    """What this process writes: schema, analysis, and Tantivy's library and index format."""
    return {"schema": SCHEMA_VERSION, "analyser": ANALYSER_VERSION, "library": _LIBRARY}


def write_metadata(directory: Path) -> None:
    """Record `current_metadata` in the folder, whole or not at all."""
    atomic_write(directory / METADATA_FILE, (json.dumps(current_metadata(), indent=1) + "\n").encode())


def require_compatible(directory: Path) -> None:
    """Check that the index in `directory` was written by this schema, this analysis and a library that can read it.

    Raises:
        IncompatibleIndexError: it was not, or nothing says by what it was written.
    """
    try:
        recorded = json.loads((directory / METADATA_FILE).read_text())
    except FileNotFoundError as error:
        raise IncompatibleIndexError(f"{directory} holds an index without {METADATA_FILE}. {_REMEDY}") from error
    except ValueError as error:
        raise IncompatibleIndexError(f"{directory / METADATA_FILE} is not JSON. {_REMEDY}") from error
    current = current_metadata()
    for aspect in ("schema", "analyser"):
        if recorded.get(aspect) != current[aspect]:
            raise IncompatibleIndexError(
                f"the index in {directory} has {aspect} {recorded.get(aspect)}, this version needs {current[aspect]}. "
                f"{_REMEDY}"
            )
    try:
        tantivy.Index.is_compatible(str(directory))
    except ValueError as error:
        raise IncompatibleIndexError(
            f"the index in {directory} was written by {recorded.get('library')}, {_LIBRARY} cannot read it: {error}. "
            f"{_REMEDY}"
        ) from error
