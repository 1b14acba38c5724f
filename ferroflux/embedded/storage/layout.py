"""Where everything lies in a data directory."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DATA_DIR_VARIABLE: Final = "FERROFLUX_DATA_DIR"


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """The paths of one embedded installation; copying the folder of a stopped one copies the installation."""

    root: Path

    @classmethod
    def resolve(cls, chosen: Path | None = None) -> "DataDirectory":
        """The folder given, else that of `FERROFLUX_DATA_DIR`, else `.ferroflux` in the working directory."""
        return cls((chosen or Path(os.environ.get(DATA_DIR_VARIABLE) or ".ferroflux")).expanduser().absolute())

    @property
    def lock(self) -> Path:
        """Held by the process that owns the directory."""
        return self.root / "lock"

    @property
    def running(self) -> Path:
        """There while the system runs; found at a start, it says that the stop before was not clean."""
        return self.root / "running.json"

    @property
    def endpoint(self) -> Path:
        """How the other commands find the running system."""
        return self.root / "up.json"

    @property
    def journal(self) -> Path:
        """The change journal (SQLite)."""
        return self.root / "journal.db"

    @property
    def sources(self) -> Path:
        """Which sources feed which facets, as operators declared it."""
        return self.root / "sources.json"

    @property
    def dead_letters(self) -> Path:
        """Dead letters and what became of them (SQLite)."""
        return self.root / "dead-letters.db"

    @property
    def replays(self) -> Path:
        """Positions of `ferroflux replay` runs, so that an interrupted one goes on where it stopped."""
        return self.root / "replays"

    @property
    def vectors(self) -> Path:
        """The vector index (Qdrant Edge)."""
        return self.root / "vectors"

    @property
    def contents(self) -> Path:
        """Vectors by the text that they were computed from (SQLite): a lost vector index is built from them without inference."""
        return self.root / "contents.db"

    @property
    def one_spelling(self) -> Path:
        """There once every point of the vector index is under its SKU's one spelling."""
        return self.root / "one-spelling"

    @property
    def text(self) -> Path:
        """The text replica (Tantivy)."""
        return self.root / "text"

    @property
    def generations(self) -> Path:
        """Generations of the indexes beside `main`, a folder each."""
        return self.root / "generations"

    @property
    def sample_loaded(self) -> Path:
        """There once the sample catalogue was loaded, or declined: it is offered once in a directory's life."""
        return self.root / "sample.json"

    @property
    def ingest(self) -> Path:
        """Positions of `ferroflux ingest` runs, so that an interrupted one goes on where it stopped."""
        return self.root / "ingest"
